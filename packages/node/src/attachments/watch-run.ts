import { watch } from "node:fs";

/** Where the system tells of no change, or one was missed. */
const LOOK_EVERY_MS = 1_000;

/** Calls back when a run wrote something or its state changed, and every second. */
export function watchRun(directory: string, onChange: () => void): Disposable {
  const timer = setInterval(onChange, LOOK_EVERY_MS);
  const watcher = openWatcher(directory, onChange);
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      watcher?.close();
    },
  };
}

function openWatcher(directory: string, onChange: () => void) {
  try {
    const watcher = watch(directory, { persistent: false }, onChange);
    watcher.on("error", () => watcher.close());
    return watcher;
  } catch {
    // The system has no watch left, or the run was just removed: the timer looks.
    return undefined;
  }
}
