module.exports = require("runtime/fibers");
