import path from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";

const root = path.join(__dirname, "..", "..");

it("the types of blocking() and asAsync() are what test/support/types/blocking.ts says", () => {
  const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root);
  const program = ts.createProgram([path.join(root, "test", "support", "types", "blocking.ts")], {
    ...options,
    noEmit: true,
  });
  const found = ts.getPreEmitDiagnostics(program);
  const { getCanonicalFileName, getCurrentDirectory, getNewLine } = ts.createCompilerHost(options);
  expect(ts.formatDiagnostics(found, { getCanonicalFileName, getCurrentDirectory, getNewLine })).toBe("");
});
