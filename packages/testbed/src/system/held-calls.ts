import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";

const LOOK_EVERY_MS = 20;

/** Kills every process that its tracer holds at a call, by the trace that is written meanwhile; until disposed. */
export function killHeld(trace: string): AsyncDisposable {
  const done = new AbortController();
  const watching = (async () => {
    let stood: readonly number[] = [];
    while (!done.signal.aborted) {
      const stands = await heldThreads(trace);
      // One that is on its way through stands for microseconds.
      for (const thread of stands.filter((each) => stood.includes(each))) killThread(thread);
      stood = stands;
      await delay(LOOK_EVERY_MS);
    }
  })();
  return {
    [Symbol.asyncDispose]: async () => {
      done.abort();
      await watching;
    },
  };
}

/** Threads that came to a call, have not left it, and are stopped there by their tracer. */
async function heldThreads(trace: string): Promise<readonly number[]> {
  const open = new Set<number>();
  for (const line of (await readFile(trace, "utf8").catch(() => "")).split("\n")) {
    const thread = Number.parseInt(line, 10);
    if (Number.isNaN(thread)) continue;
    if (/ = /.test(line)) open.delete(thread);
    else open.add(thread);
  }
  const isStopped = async (thread: number) =>
    /^State:\tt/m.test(await readFile(`/proc/${thread}/status`, "utf8").catch(() => ""));
  const threads = await Promise.all([...open].map(async (thread) => ((await isStopped(thread)) ? [thread] : [])));
  return threads.flat();
}

/** The kernel takes a thread's number for its whole process. */
function killThread(thread: number): void {
  try {
    process.kill(thread, "SIGKILL");
  } catch {
    // It is dead already.
  }
}
