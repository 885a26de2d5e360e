import "runtime/patch";
import { describe } from "vitest";
import { describeEngine } from "./behaviours";

// The same answers as from fibers, whatever there is instead of them.
describe("serve", () => describeEngine("workers", { maxThreads: 8 }));
