import Fiber = require("runtime/fibers");
export = Fiber;
