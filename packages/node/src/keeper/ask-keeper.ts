import { connect } from "node:net";

const ANSWER_TIMEOUT_MS = 3_000;
const MAX_ANSWER_BYTES = 65_536;

/** Sends one line to a keeper and reads its answer; `undefined` when there is no keeper, or none that answers. */
export async function askKeeper(socketPath: string, request: object, timeoutMs = ANSWER_TIMEOUT_MS): Promise<unknown> {
  const socket = connect(socketPath);
  let text = "";
  socket.setTimeout(timeoutMs, () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.length > MAX_ANSWER_BYTES) socket.destroy();
  });
  // A keeper that is gone refuses the connection: that is an answer too.
  socket.on("error", () => socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once("close", () => resolve()));
  socket.write(`${JSON.stringify(request)}\n`);
  await closed;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
