import type { Server } from "node:http";
import type { Socket } from "node:net";

/** The open connections of a server, and which of them have a request under way. */
export class Connections {
  readonly #requests = new Map<Socket, number>();
  #isClosing = false;

  /** Follows every connection of the server from here on. */
  constructor(server: Server) {
    server.on("connection", (socket) => {
      this.#requests.set(socket, 0);
      socket.once("close", () => this.#requests.delete(socket));
    });
  }

  /** A request came in. Call what is returned when its answer is out. */
  begin(socket: Socket): () => void {
    this.#requests.set(socket, (this.#requests.get(socket) ?? 0) + 1);
    return () => {
      const left = (this.#requests.get(socket) ?? 1) - 1;
      if (socket.destroyed) return;
      this.#requests.set(socket, left);
      if (this.#isClosing && left === 0) socket.destroySoon();
    };
  }

  /**
   * Ends every connection without a request now and the others after their answer. Node's own closing leaves those
   * open that have not sent a first request yet.
   */
  close(): void {
    this.#isClosing = true;
    for (const [socket, requests] of this.#requests) {
      if (requests === 0) socket.destroy();
    }
  }
}
