import path from "node:path";
import { defineConfig } from "vitest/config";

const dist = path.join(__dirname, "dist");

// Files that have been seen to pass with every Node and switch. RUNTIME_ALL_TESTS=1 runs all that there are.
const settled = [
  "test/compat/fs.test.ts",
  "test/compat/http.test.ts",
  "test/compat/patch.test.ts",
  "test/runtime/async-frame.test.ts",
  "test/runtime/ids.test.ts",
  "test/runtime/stack-start.test.ts",
  "test/src/run.test.ts",
];

export default defineConfig({
  resolve: {
    alias: [
      { find: /^runtime$/, replacement: path.join(dist, "index.js") },
      { find: /^runtime\/patch$/, replacement: path.join(dist, "patch.js") },
    ],
  },
  test: {
    include: process.env.RUNTIME_ALL_TESTS ? ["test/**/*.test.ts"] : settled,
    server: { deps: { external: [/\/dist\//] } }, // as a program loads it: by Node itself, and once
    pool: "forks", // a process for each test file, since what is patched is patched for a whole process
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
