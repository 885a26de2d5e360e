// A preload that leaves a mark.
globalThis.preloaded = true;
