import { Socket } from "node:net";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { native } from "@gatehouse/kit";
import * as z from "zod";
import { askKeeper } from "../keeper/ask-keeper.ts";

const TAKE_WITHIN_MS = 5_000;
/** How long what is still in a pipe is waited for; something that the command left may hold one open for ever. */
const DRAIN_MS = 2_000;
/** What is said of a command whose end nobody saw. */
const KILLED = 137;
/** Signals that go on to the command. */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;
const endSchema = z.object({ ok: z.literal(true), code: z.number().int().min(0).max(255) });

/** A further command in a run of this machine, as the daemon answered. */
export interface HeldExec {
  readonly stateDir: string;
  /** Name of its socket without `.sock`. */
  readonly keeper: string;
}

/**
 * Joins this process's streams and signals to a command until it ends; answers its exit code. The command ends with
 * this process. Fails with `process.gone` where its streams cannot be had.
 */
export async function holdExec({ stateDir, keeper }: HeldExec): Promise<number> {
  const socketPath = join(stateDir, "keepers", `${keeper}.sock`);
  const [input, output, errors] = [
    new Socket({ fd: await takeStream(socketPath, "input"), readable: false }),
    new Socket({ fd: await takeStream(socketPath, "output"), writable: false }),
    new Socket({ fd: await takeStream(socketPath, "errors"), writable: false }),
  ];
  // Who reads no input closes it.
  input.on("error", () => input.destroy());
  process.stdin.pipe(input);
  const copied = [copy(output, process.stdout), copy(errors, process.stderr)];
  const listeners = FORWARDED.map((name) => {
    const listener = () => void askKeeper(socketPath, { op: "signal", signal: name }).catch(() => undefined);
    return [name, listener] as const;
  });
  for (const [name, listener] of listeners) process.on(name, listener);
  try {
    const said = await askKeeper(socketPath, { op: "hold" }, { timeoutMs: Number.POSITIVE_INFINITY });
    const late = new AbortController();
    const drained = delay(DRAIN_MS, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([Promise.all(copied), drained]);
    late.abort();
    return endSchema.safeParse(said).data?.code ?? KILLED;
  } finally {
    for (const [name, listener] of listeners) process.off(name, listener);
    process.stdin.destroy();
    for (const stream of [input, output, errors]) stream.destroy();
  }
}

function takeStream(socketPath: string, stream: string): Promise<number> {
  return native.receiveDescriptor(socketPath, JSON.stringify({ op: "take-stream", stream }), TAKE_WITHIN_MS);
}

async function copy(from: Socket, to: NodeJS.WriteStream): Promise<void> {
  from.pipe(to, { end: false });
  // A pipe that broke has nothing more to say.
  await finished(from, { writable: false }).catch(() => undefined);
}
