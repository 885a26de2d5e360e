// How long a call takes on the clock.

/** Microseconds that a call of `fn` takes, in the median batch of so many calls. */
exports.microseconds = (batches, calls, fn) => {
  const times = [];
  for (let batch = -2; batch < batches; batch++) {
    const start = performance.now();
    for (let call = 0; call < calls; call++) fn();
    if (batch >= 0) times.push(performance.now() - start); // before that, to warm up
  }
  times.sort((a, b) => a - b);
  return (times[times.length >> 1] * 1000) / calls;
};
