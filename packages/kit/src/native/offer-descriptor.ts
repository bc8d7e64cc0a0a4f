import { chmod } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { native } from "./native.ts";
import { socketDescriptor } from "./socket-descriptor.ts";

const ASK_TIMEOUT_MS = 5_000;

/**
 * Gives the descriptor of a listening server to whoever of this user asks at `socketPath` (0600) with one line, until
 * disposed. Both may accept then, and what waits in the queue is lost only when the last of them closes.
 */
export async function offerDescriptor(socketPath: string, offered: Server): Promise<AsyncDisposable> {
  const server = createServer((socket) => {
    socket.setTimeout(ASK_TIMEOUT_MS, () => socket.destroy());
    socket.on("error", () => socket.destroy());
    const own = socketDescriptor(socket);
    if (own === undefined) return void socket.destroy();
    const { uid } = native.peerCredentials(own);
    if (uid !== 0 && uid !== process.getuid?.()) return void socket.destroy();
    socket.once("data", () => {
      const descriptor = socketDescriptor(offered);
      if (descriptor !== undefined) native.sendDescriptor(own, descriptor);
      socket.end();
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, resolve);
  });
  await chmod(socketPath, 0o600);
  return {
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}
