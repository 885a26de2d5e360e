import "runtime/patch";
import { describeFibers } from "../../support/fibers";
import { describeEngine } from "./behaviours";

describeFibers("serve", () => describeEngine("fibers"));
