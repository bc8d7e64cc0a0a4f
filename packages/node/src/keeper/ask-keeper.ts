import { connect } from "node:net";
import { Problem } from "@gatehouse/core";
import { errorCode } from "@gatehouse/kit";

const ANSWER_TIMEOUT_MS = 3_000;
export interface AskOptions {
  /** Infinity: as long as it takes. */
  readonly timeoutMs?: number;
  /** Aborting hangs up: the answer is `undefined`. */
  readonly signal?: AbortSignal;
}

const MAX_ANSWER_BYTES = 65_536;
/** What connecting says when nobody listens; whatever else it says, somebody may. */
const GONE: readonly (string | undefined)[] = ["ENOENT", "ECONNREFUSED", "ECONNRESET", "EPIPE"];

/**
 * Sends one line to a keeper and reads its answer; `undefined` when there is no keeper. One that is there and does not
 * answer in time fails with `process.timeout`: on a busy machine a run is not over because its keeper is slow.
 */
export async function askKeeper(
  socketPath: string,
  request: object,
  { timeoutMs = ANSWER_TIMEOUT_MS, signal }: AskOptions = {},
): Promise<unknown> {
  const socket = connect(socketPath);
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  let text = "";
  let isLate = false;
  let failure: unknown;
  const giveUp = () => {
    isLate = true;
    socket.destroy();
  };
  const timer = timeoutMs === Number.POSITIVE_INFINITY ? undefined : setTimeout(giveUp, timeoutMs);
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.length > MAX_ANSWER_BYTES) socket.destroy();
  });
  socket.on("error", (error) => {
    failure = error;
  });
  const hangUp = () => void socket.destroy();
  signal?.addEventListener("abort", hangUp, { once: true });
  if (signal?.aborted) hangUp();
  socket.write(`${JSON.stringify(request)}\n`);
  await closed;
  clearTimeout(timer);
  signal?.removeEventListener("abort", hangUp);
  if (isLate || (failure !== undefined && !GONE.includes(errorCode(failure)))) throw new Problem("process.timeout");
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
