import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { eventually } from "./eventually.ts";

/** A call of a running process: the `when`-th of one of its threads since the tracer came. */
export interface NumberedCall {
  readonly call: string;
  readonly when: number;
}

export interface AttachOptions {
  /** File that the trace is written to, with the paths of descriptors. */
  readonly trace: string;
  readonly calls: readonly string[];
  /** The process is killed when it comes to this call, which is not made any more. */
  readonly killAt?: NumberedCall;
}

/** Traces these calls of a process that runs, and of none of its children, until disposed. */
export async function attachTracer(pid: number, { trace, calls, killAt }: AttachOptions): Promise<AsyncDisposable> {
  const threads = await readdir(`/proc/${pid}/task`);
  const kill = killAt === undefined ? [] : ["-e", `inject=${killAt.call}:signal=SIGKILL:when=${killAt.when}`];
  const how = ["-qq", "-y", "-s", "200", "-o", trace, "-e", `trace=${calls.join(",")}`, ...kill];
  const tracer = spawn("strace", [...how, ...threads.flatMap((thread) => ["-p", thread])], { stdio: "ignore" });
  const gone = once(tracer, "exit");
  await eventually("the tracer at every thread", async () => {
    const states = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/status`, "utf8"));
    return (await Promise.all(states)).every((text) => !text.includes("TracerPid:\t0\n"));
  });
  return {
    [Symbol.asyncDispose]: async () => {
      tracer.kill();
      await gone;
    },
  };
}

/** Which call of a trace is the `nth` that matches, for `killAt` of a process that does the same again. */
export function findCall(trace: string, pattern: RegExp, nth: number = 1): NumberedCall {
  const made = new Map<string, number>();
  let matched = 0;
  for (const line of trace.split("\n")) {
    const [, thread, call] = /^(\d+) +(\w+)\(/.exec(line) ?? [];
    if (thread === undefined || call === undefined) continue;
    const when = (made.get(`${thread} ${call}`) ?? 0) + 1;
    made.set(`${thread} ${call}`, when);
    if (pattern.test(line)) matched += 1;
    if (matched === nth) return { call, when };
  }
  throw new Error(`${matched} calls of the trace match ${pattern}, not ${nth}`);
}
