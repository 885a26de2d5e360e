import path from "node:path";
import ts from "typescript";
import { expect, it } from "vitest";

const root = path.join(__dirname, "..", "..");

it.each(["blocking", "threads"])("the types of the API are what test/support/types/%s.ts says", (name) => {
  const { config } = ts.readConfigFile(path.join(root, "tsconfig.json"), ts.sys.readFile);
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [], files: [] }, ts.sys, root);
  const program = ts.createProgram([path.join(root, "test", "support", "types", `${name}.ts`)], {
    ...options,
    noEmit: true,
  });
  const found = ts.getPreEmitDiagnostics(program);
  const { getCanonicalFileName, getCurrentDirectory, getNewLine } = ts.createCompilerHost(options);
  expect(ts.formatDiagnostics(found, { getCanonicalFileName, getCurrentDirectory, getNewLine })).toBe("");
});
