module.exports = require("runtime/fibers/future");
