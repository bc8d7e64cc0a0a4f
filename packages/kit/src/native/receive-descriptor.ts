import { closeSync } from "node:fs";
import { Problem } from "@gatehouse/core";
import { type AncillaryMessage, closeAll, receiveWithDescriptors } from "./ancillary-message.ts";
import { type Libc, SystemCallError } from "./libc.ts";

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
/** Until a full accept queue has room again. */
const CONNECT_RETRY_MS = 10;
const MAX_ANSWER_BYTES = 4_096;
/** What a refusal says is bounded before it stands in an error. */
const MAX_REFUSAL_CHARACTERS = 200;

export interface DescriptorRequest {
  readonly socketPath: string;
  /** One line, without its end. */
  readonly line: string;
  readonly timeoutMs: number;
}

/**
 * Asks the process behind a Unix socket for one descriptor and returns it, closed on exec and the caller's to close.
 * Never blocks the event loop; whatever fails, no descriptor stays open. Fails with `process.gone` (nobody there,
 * refused, or no descriptor in the answer) or `process.timeout`.
 */
export async function requestDescriptor(libc: Libc, request: DescriptorRequest): Promise<number> {
  const deadline = performance.now() + request.timeoutMs;
  const socket = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
  try {
    await connect(libc, { socket, path: request.socketPath, deadline });
    send(libc, socket, `${request.line}\n`);
    return await receive(libc, socket, deadline);
  } catch (failure) {
    throw asProblem(failure, request.socketPath);
  } finally {
    closeSync(socket);
  }
}

async function connect(libc: Libc, to: { socket: number; path: string; deadline: number }): Promise<void> {
  const address = Buffer.concat([Buffer.from([AF_UNIX, 0]), Buffer.from(to.path), Buffer.from([0])]);
  for (;;) {
    try {
      libc.connect(to.socket, address);
      return;
    } catch (failure) {
      if (!isAgain(failure)) throw failure;
    }
    if (performance.now() >= to.deadline) throw timedOut();
    await new Promise((resolve) => setTimeout(resolve, CONNECT_RETRY_MS));
  }
}

/** A line of this size fits the send buffer of a socket that was just connected. */
function send(libc: Libc, socket: number, line: string): void {
  const data = Buffer.from(line);
  if (libc.send(socket, data, MSG_NOSIGNAL) !== data.length) throw new Error("the request was cut off");
}

function receive(libc: Libc, socket: number, deadline: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const text: Buffer[] = [];
    const finish = (settle: () => void) => {
      clearTimeout(timer);
      watch.close();
      settle();
    };
    const timer = setTimeout(() => finish(() => reject(timedOut())), Math.max(0, deadline - performance.now()));
    const watch = libc.watchReadable(socket, () => {
      try {
        const found = takeDescriptor(receiveWithDescriptors(libc, socket, MAX_ANSWER_BYTES), text);
        if (found !== undefined) finish(() => resolve(found));
      } catch (failure) {
        if (!isAgain(failure)) finish(() => reject(failure));
      }
    });
  });
}

/** The one descriptor, or `undefined` to read on. Anything else that arrived is closed. */
function takeDescriptor(message: AncillaryMessage, text: Buffer[]): number | undefined {
  const [first, ...others] = message.descriptors;
  if (first !== undefined && others.length === 0) return first;
  closeAll(message.descriptors);
  if (first !== undefined) throw new Error("more than one descriptor arrived");
  text.push(message.data);
  const said = Buffer.concat(text);
  if (message.data.length > 0 && said.length < MAX_ANSWER_BYTES && !said.includes(10)) return undefined;
  const words = said.toString("utf8").slice(0, MAX_REFUSAL_CHARACTERS).trim();
  throw new Problem("process.gone", { detail: `No descriptor came${words === "" ? "" : `: ${words}`}.` });
}

function isAgain(failure: unknown): boolean {
  return failure instanceof SystemCallError && (failure.code === "EAGAIN" || failure.code === "EINTR");
}

function timedOut(): Problem {
  return new Problem("process.timeout", { detail: "No descriptor came." });
}

function asProblem(failure: unknown, path: string): Problem {
  if (failure instanceof Problem) return failure;
  const why = failure instanceof Error ? failure.message : "unknown";
  return new Problem("process.gone", { detail: `${path}: ${why}.`, cause: failure });
}
