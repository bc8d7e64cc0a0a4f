import type { Socket } from "node:net";

/** Whoever uses an upstream connection now. */
export interface UpstreamUser {
  onUpstreamData(chunk: Buffer): void;
  /** The upstream ended or broke; nothing more comes. */
  onUpstreamClosed(): void;
  onUpstreamDrain(): void;
}

/**
 * One connection to an origin, used by one exchange at a time and only for the run that opened it. Bytes that come
 * while nobody uses it are a framing doubt: it is closed.
 */
export class UpstreamConnection implements Disposable {
  readonly socket: Socket;
  /** Exchanges that were completed on it. */
  served = 0;
  #user: UpstreamUser | undefined;
  #isOpen = true;

  constructor(socket: Socket) {
    this.socket = socket;
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

  /** Open, tried, and used by nobody. */
  get isIdle(): boolean {
    return this.#isOpen && this.#user === undefined && this.served > 0;
  }

  attach(user: UpstreamUser): void {
    this.#user = user;
  }

  /** Gives it back. It is read on, so that its end, or bytes that nobody asked for, are noticed. */
  detach(): void {
    this.#user = undefined;
    this.socket.resume();
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
