import Future = require("runtime/fibers/future");
export = Future;
