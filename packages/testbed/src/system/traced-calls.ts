import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { killHeld } from "./held-calls.ts";

/** A system call that a tracer breaks, and how: `when` counts the calls of each thread, from 1. */
export interface BrokenCall {
  readonly call: string;
  readonly fault: typeof KILL | `error=${string}`;
  readonly when: string;
  /** Calls on this file or directory alone. */
  readonly path?: string;
}

const KILL = "signal=SIGKILL";
/** One thread for files, so that which call is the N-th does not change from run to run. */
const TRACER = ["strace", "-f", "-qq", "-E", "UV_THREADPOOL_SIZE=1"] as const;
/** Stops at the traced calls alone, which takes half the time; strace 6 sends no signal then. */
const FILTERED = "--seccomp-bpf";
/** Long enough to be seen, and strace waits for its end even of the dead. */
const HELD = "delay_enter=1s";

/** The long form (`npm run soak`) breaks every call of a scenario, the short one some of them. */
const IS_SOAK = process.env.TESTBED_SOAK === "1";

/** What a program is started with, so that every one of these calls, of its children too, is written to a file. */
export function recordCalls(path: string, calls: readonly string[]): readonly string[] {
  return [...TRACER, FILTERED, "-o", path, "-e", `trace=${calls.join(",")}`];
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

/** What a program is started with, so that this call breaks; the trace of it goes to a file. */
export function breakCall({ call, fault, when, path }: BrokenCall, trace = "/dev/null"): readonly string[] {
  const only = path === undefined ? [] : ["-P", path];
  const how = ["-o", trace, ...only, "-e", `trace=${call}`, "-e", `inject=${call}:${fault}:when=${when}`];
  return fault === KILL ? [...TRACER, ...how] : [...TRACER, FILTERED, ...how];
}

/** What a program is started with, so that it stands at this call until it is killed there: see `killHeld`. */
function holdCall({ call, when }: BrokenCall, trace: string): readonly string[] {
  return [...TRACER, FILTERED, "-o", trace, "-e", `trace=${call}`, "-e", `inject=${call}:${HELD}:when=${when}`];
}

/** Lets a call of a process that runs already fail with an error, until disposed. */
export function failCalls(pid: number, call: string, error: string): AsyncDisposable {
  const how = ["-o", "/dev/null", "-e", `trace=${call}`, "-e", `inject=${call}:error=${error}`, "-p", `${pid}`];
  const tracer = spawn("strace", ["-f", "-qq", ...how], { stdio: "ignore" });
  const gone = once(tracer, "exit");
  return {
    [Symbol.asyncDispose]: async () => {
      tracer.kill();
      await gone;
    },
  };
}

/** A fault and the calls at which it comes. */
export interface BrokenCalls extends Pick<BrokenCall, "call" | "fault"> {
  /** What it is called in words. */
  readonly name: string;
  /** How many such calls there are when nothing breaks. */
  readonly count: number;
  /** How many of them the short form breaks. */
  readonly samples: number;
  /** That call alone, or it and all that follow. */
  readonly from?: boolean;
}

type Play = (inside: readonly string[], broken: BrokenCall) => Promise<void>;

/**
 * Plays once for each call that is broken, with what the program is started with: all of them in the long form, in the
 * short one as many as `samples`, spread over them. Goes on when one fails, and fails in the end with every one that
 * did, or when no fault came at all; the long form says how many came and held.
 */
export async function breakEach(
  { name, call, fault, count, samples, from = false }: BrokenCalls,
  play: Play,
): Promise<void> {
  const failures: Error[] = [];
  const numbers = callsToBreak(count, samples);
  const folder = await mkdtemp(join(tmpdir(), "gatehouse-traced-"));
  let struck = 0;
  for (const number of numbers) {
    const broken: BrokenCall = { call, fault, when: `${number}${from ? "+" : ""}` };
    const trace = join(folder, broken.when);
    await playBroken(broken, trace, play).catch((cause: unknown) => {
      failures.push(new Error(`${name}: ${call} ${number} of ${count}: ${String(cause)}`, { cause }));
    });
    // A call that is injected, or that its thread did not live to see the end of.
    if (/\(INJECTED\)$|\) += \?$/m.test(await readFile(trace, "utf8").catch(() => ""))) struck += 1;
  }
  await rm(folder, { recursive: true });
  const held = numbers.length - failures.length;
  const said = `${name}: ${held} of ${numbers.length} held, ${struck} came (${call}, ${count} in all)`;
  if (IS_SOAK) process.stdout.write(`${said}\n`);
  if (struck === 0 && numbers.length > 0) failures.push(new Error("no fault came"));
  if (failures.length > 0) throw new AggregateError(failures, [said, ...failures.map(String)].join("\n"));
}

async function playBroken(broken: BrokenCall, trace: string, play: Play): Promise<void> {
  if (broken.fault !== KILL) return play(breakCall(broken, trace), broken);
  await using _ = killHeld(trace);
  await play(holdCall(broken, trace), broken);
}

function callsToBreak(count: number, samples: number): readonly number[] {
  if (IS_SOAK) return Array.from({ length: count }, (_, index) => index + 1);
  const spread = Array.from({ length: samples }, (_, index) => Math.ceil(((index + 1) * count) / (samples + 1)));
  return [...new Set(spread)];
}
