import { type ClientRequest, type IncomingMessage, request } from "node:http";
import { createInterface } from "node:readline";
import { linkSignals, PROBLEMS, Problem } from "@gatehouse/core";
import { systemReason } from "../files/error-code.ts";
import { isProblemCode } from "../problem-code.ts";
import { readJson } from "./read-json.ts";

const DEFAULT_TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 64 * 1_048_576;

export interface UnixRequest {
  readonly socketPath: string;
  /** Default GET. */
  readonly method?: string;
  /** With its query. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  readonly signal?: AbortSignal;
}

export interface UnixAnswer {
  readonly status: number;
  /** Parsed JSON; `undefined` when the answer has no body. */
  readonly body: unknown;
}

/**
 * One call over a connection of its own. Fails with `daemon.unreachable` when nobody answers or the connection breaks,
 * with `daemon.timeout` after `timeoutMs` (default 30,000), with the signal's reason when that aborts.
 */
export async function requestUnix(call: UnixRequest & { readonly timeoutMs?: number }): Promise<UnixAnswer> {
  const timeout = AbortSignal.timeout(call.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  using linked = linkSignals(call.signal, timeout);
  try {
    const message = await open({ ...call, signal: linked.signal });
    return { status: message.statusCode ?? 0, body: await readJson(message, MAX_ANSWER_BYTES) };
  } catch (failure) {
    throw explain(failure, call, timeout);
  }
}

/** As `requestUnix`, and an error answer is thrown as the `Problem` that it carries. Returns the body. */
export async function requestUnixOk(call: UnixRequest & { readonly timeoutMs?: number }): Promise<unknown> {
  const { status, body } = await requestUnix(call);
  if (status >= 400) throw toProblemOfAnswer(status, body);
  return body;
}

/**
 * Follows an answer line by line for as long as it lasts. Ending the iteration or aborting the signal closes the
 * connection. An error answer is thrown as its `Problem`; a connection that breaks as `daemon.unreachable`.
 */
export async function* streamUnix(call: UnixRequest): AsyncGenerator<string, void, undefined> {
  let message: IncomingMessage | undefined;
  try {
    message = await open(call);
    const status = message.statusCode ?? 0;
    if (status >= 400) throw toProblemOfAnswer(status, await readJson(message, MAX_ANSWER_BYTES));
    yield* readLines(message);
  } catch (failure) {
    throw explain(failure, call);
  } finally {
    message?.destroy();
  }
}

/** readline ends quietly when its input breaks, so the break is looked for afterwards. */
async function* readLines(message: IncomingMessage): AsyncGenerator<string, void, undefined> {
  let failure: unknown;
  message.once("error", (error) => {
    failure = error;
  });
  yield* createInterface({ input: message, crlfDelay: Number.POSITIVE_INFINITY });
  if (failure !== undefined || !message.complete) throw failure ?? new Error("the answer was cut off");
}

function open(call: UnixRequest): Promise<IncomingMessage> {
  call.signal?.throwIfAborted();
  const data = call.body === undefined ? undefined : Buffer.from(JSON.stringify(call.body));
  return new Promise((resolve, reject) => {
    const sent: ClientRequest = request({
      socketPath: call.socketPath,
      path: call.path,
      method: call.method ?? "GET",
      // A connection of its own, closed with the answer: a pool would keep a finished command alive.
      agent: false,
      headers: data === undefined ? {} : { "content-type": "application/json", "content-length": data.length },
      ...(call.signal === undefined ? {} : { signal: call.signal }),
    });
    sent.once("response", resolve);
    sent.once("error", reject);
    sent.end(data);
  });
}

function explain(failure: unknown, call: UnixRequest, timeout?: AbortSignal): unknown {
  if (call.signal?.aborted) return call.signal.reason;
  if (timeout?.aborted) return new Problem("daemon.timeout");
  if (failure instanceof Problem && failure.code !== "api.malformed") return failure;
  return new Problem("daemon.unreachable", { detail: `${call.socketPath}: ${systemReason(failure)}.`, cause: failure });
}

function toProblemOfAnswer(status: number, body: unknown): Problem {
  const { error, code } = (typeof body === "object" && body !== null ? body : {}) as Record<string, unknown>;
  if (typeof code !== "string" || !isProblemCode(code)) {
    return new Problem("internal", { detail: typeof error === "string" ? error : `The answer was ${status}.` });
  }
  const say: string = PROBLEMS[code].say;
  if (typeof error !== "string" || error === say) return new Problem(code);
  return new Problem(code, { detail: error.startsWith(`${say} `) ? error.slice(say.length + 1) : error });
}
