/**
 * Takes `--require file` out of process.execArgv: a test sees the flags that it asked for, and the processes that it
 * starts with them are plain Node.
 */
exports.forget = (file) => {
  const at = process.execArgv.indexOf(file);
  if (at > 0) process.execArgv.splice(at - 1, 2);
};
