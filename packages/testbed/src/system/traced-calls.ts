import { readFile } from "node:fs/promises";

/** A system call that a tracer breaks, and how: `when` counts the calls of each thread, from 1. */
export interface BrokenCall {
  readonly call: string;
  readonly fault: "signal=SIGKILL" | `error=${string}`;
  readonly when: string;
  /** Calls on this file or directory alone. */
  readonly path?: string;
}

/** The long form (`npm run soak`) breaks every call of a scenario, the short one some of them. */
const IS_SOAK = process.env.TESTBED_SOAK === "1";

/** One thread for files, so that which call is the N-th does not change from run to run. */
export const TRACED_ENVIRONMENT = { UV_THREADPOOL_SIZE: "1" } as const;

/** What a program is started with, so that every one of these calls, of its children too, is written to a file. */
export function recordCalls(path: string, calls: readonly string[]): readonly string[] {
  return tracing("-o", path, "-e", `trace=${calls.join(",")}`);
}

/** How often the thread that makes a call most made it, by such a file: a fault counts the calls of each thread. */
export async function countRecorded<Call extends string>(
  path: string,
  calls: readonly Call[],
): Promise<Readonly<Record<Call, number>>> {
  const lines = (await readFile(path, "utf8")).split("\n");
  const count = (call: Call) => {
    const threads = new Map<string, number>();
    for (const line of lines) {
      const [, thread, name] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
      if (thread !== undefined && name === call) threads.set(thread, (threads.get(thread) ?? 0) + 1);
    }
    return Math.max(0, ...threads.values());
  };
  return Object.fromEntries(calls.map((call) => [call, count(call)])) as Record<Call, number>;
}

/** What a program is started with, so that this call breaks. */
export function breakCall({ call, fault, when, path }: BrokenCall): readonly string[] {
  const only = path === undefined ? [] : ["-P", path];
  return tracing("-o", "/dev/null", ...only, "-e", `trace=${call}`, "-e", `inject=${call}:${fault}:when=${when}`);
}

/** Which of `count` calls to break: each, or as many as `samples` spread over them. */
export function callsToBreak(count: number, samples: number): readonly number[] {
  if (IS_SOAK) return Array.from({ length: count }, (_, index) => index + 1);
  return Array.from({ length: samples }, (_, index) => Math.ceil(((index + 1) * count) / (samples + 1)));
}

function tracing(...more: readonly string[]): readonly string[] {
  return ["strace", "-f", "-qq", ...more];
}
