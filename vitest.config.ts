import path from "node:path";
import { defineConfig } from "vitest/config";

const dist = path.join(__dirname, "dist");

export default defineConfig({
  resolve: {
    alias: [
      { find: /^runtime$/, replacement: path.join(dist, "index.js") },
      { find: /^runtime\/patch$/, replacement: path.join(dist, "patch.js") },
      { find: /^runtime\/deasync$/, replacement: path.join(dist, "deasync.js") },
    ],
  },
  test: {
    include: ["test/**/*.test.ts"],
    server: { deps: { external: [/\/dist\//] } }, // as a program loads it: by Node itself, and once
    pool: "forks", // a process for each test file, since what is patched is patched for a whole process
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
