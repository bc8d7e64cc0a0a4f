import { once } from "node:events";
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
  const closed = once(socket, "close");
  socket.on("error", () => socket.destroy());
  socket.write(`${JSON.stringify(request)}\n`);
  await closed;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
