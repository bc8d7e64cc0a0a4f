import { Socket } from "node:net";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { setTimeout as delay } from "node:timers/promises";
import { ReadStream } from "node:tty";
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
  /** It was given a terminal. */
  readonly isTerminal: boolean;
}

/**
 * Joins this process's streams and signals to a command until it ends; answers its exit code. The command ends with
 * this process. At a terminal its keys are the command's. Fails with `process.gone` where its streams cannot be had.
 */
export async function holdExec({ stateDir, keeper, isTerminal }: HeldExec): Promise<number> {
  const socketPath = join(stateDir, "keepers", `${keeper}.sock`);
  const joined = isTerminal ? await joinTerminal(socketPath) : await joinPipes(socketPath);
  const listeners = FORWARDED.map((name) => {
    const listener = () => void askKeeper(socketPath, { op: "signal", signal: name }).catch(() => undefined);
    return [name, listener] as const;
  });
  for (const [name, listener] of listeners) process.on(name, listener);
  try {
    const said = await askKeeper(socketPath, { op: "hold" }, { timeoutMs: Number.POSITIVE_INFINITY });
    const late = new AbortController();
    const drained = delay(DRAIN_MS, undefined, { signal: late.signal }).catch(() => undefined);
    await Promise.race([joined.copied, drained]);
    late.abort();
    return endSchema.safeParse(said).data?.code ?? KILLED;
  } finally {
    for (const [name, listener] of listeners) process.off(name, listener);
    joined[Symbol.dispose]();
    process.stdin.destroy();
  }
}

interface JoinedStreams extends Disposable {
  /** All that the command wrote was passed on. */
  readonly copied: Promise<unknown>;
}

async function joinPipes(socketPath: string): Promise<JoinedStreams> {
  const input = new Socket({ fd: await takeStream(socketPath, "input"), readable: false });
  const output = new Socket({ fd: await takeStream(socketPath, "output"), writable: false });
  const errors = new Socket({ fd: await takeStream(socketPath, "errors"), writable: false });
  // Who reads no input closes it.
  input.on("error", () => input.destroy());
  process.stdin.pipe(input);
  return {
    copied: Promise.all([copy(output, process.stdout), copy(errors, process.stderr)]),
    [Symbol.dispose]: () => {
      for (const stream of [input, output, errors]) stream.destroy();
    },
  };
}

/** This terminal shows the command's, passes every key on as it is, and tells it of its size. */
async function joinTerminal(socketPath: string): Promise<JoinedStreams> {
  const controller = await takeStream(socketPath, "terminal");
  const shown = new ReadStream(controller);
  // The last of its programs closed it: there is no more.
  shown.on("error", () => shown.destroy());
  const resize = () => {
    const { rows, columns } = process.stdout;
    if (!shown.destroyed && rows > 0 && columns > 0) native.resizeTerminal(controller, { rows, columns });
  };
  process.on("SIGWINCH", resize);
  resize();
  process.stdin.setRawMode(true);
  process.stdin.pipe(shown);
  return {
    copied: copy(shown, process.stdout),
    [Symbol.dispose]: () => {
      process.off("SIGWINCH", resize);
      if (!process.stdin.destroyed) process.stdin.setRawMode(false);
      shown.destroy();
    },
  };
}

function takeStream(socketPath: string, stream: string): Promise<number> {
  return native.receiveDescriptor(socketPath, JSON.stringify({ op: "take-stream", stream }), TAKE_WITHIN_MS);
}

async function copy(from: Socket, to: NodeJS.WriteStream): Promise<void> {
  from.pipe(to, { end: false });
  // A pipe that broke has nothing more to say.
  await finished(from, { writable: false }).catch(() => undefined);
}
