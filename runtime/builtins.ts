// Node's own modules, which are loaded when somebody first asks for them: by require, by import, or from within.

const loaded: readonly string[] = (process as unknown as { moduleLoadList?: string[] }).moduleLoadList ?? [];
let seen = 0;
const awaited = new Map<string, () => void>();

/** Whether Node has loaded one of its modules. */
export function isLoaded(name: string): boolean {
  return loaded.includes(`NativeModule ${name}`);
}

/** Calls `then` once a module is found to be loaded. */
export function onceLoaded(name: string, then: () => void): void {
  awaited.set(name, then);
  seen = 0;
}

/** Has a look at which are loaded. Costs next to nothing where there is no new one. */
export function noticeLoads(): void {
  if (loaded.length === seen) return;
  seen = loaded.length;
  for (const [name, then] of awaited) {
    if (!isLoaded(name)) continue;
    awaited.delete(name);
    then();
  }
}
