// Tasks of a CommonJS module, which is a function itself.
module.exports = (text) => text.toUpperCase();
module.exports.reverse = (text) => [...text].reverse().join("");
