import type { Socket } from "node:net";

/** Whoever uses an upstream connection now. */
export interface UpstreamUser {
  onUpstreamData(chunk: Buffer): void;
  /** The upstream ended or broke; nothing more comes. */
  onUpstreamClosed(): void;
  onUpstreamDrain(): void;
}

/**
 * One connection to an origin, used by one exchange at a time and only by the client connection that opened it. Bytes
 * that come while nobody uses it are a framing doubt: it is closed.
 */
export class UpstreamConnection implements Disposable {
  readonly socket: Socket;
  readonly key: string;
  /** Exchanges that were completed on it. */
  served = 0;
  #user: UpstreamUser | undefined;
  #isOpen = true;

  constructor(socket: Socket, key: string) {
    this.socket = socket;
    this.key = key;
    socket.on("data", (chunk: Buffer) => {
      if (this.#user === undefined) this[Symbol.dispose]();
      else this.#user.onUpstreamData(chunk);
    });
    socket.on("drain", () => this.#user?.onUpstreamDrain());
    socket.on("end", () => this.#close());
    socket.on("close", () => this.#close());
    socket.on("error", () => this.#close());
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  attach(user: UpstreamUser): void {
    this.#user = user;
    this.socket.resume();
  }

  detach(): void {
    this.#user = undefined;
  }

  [Symbol.dispose](): void {
    this.#user = undefined;
    this.#isOpen = false;
    this.socket.destroy();
  }

  #close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    const user = this.#user;
    this.#user = undefined;
    user?.onUpstreamClosed();
    this.socket.destroy();
  }
}
