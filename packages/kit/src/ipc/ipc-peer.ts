import type { ChildProcess } from "node:child_process";
import { Problem, toProblem } from "@gatehouse/core";
import { asIpcMessage, CHANNEL, fromIpcProblem, type IpcMessage, toIpcProblem } from "./ipc-message.ts";
import { type IpcCallOptions, PendingCalls } from "./pending-calls.ts";

/** Calls that one side answers: method → what it takes and gives. Payloads can be structured-cloned. */
type Calls<T> = { readonly [M in keyof T]: { readonly params: unknown; readonly result: unknown } };

/** Answers for all calls of `C` and receivers for all notes of `N`; the two share one name space. */
export type IpcHandlers<C extends Calls<C>, N> = {
  readonly [M in keyof C]: (params: C[M]["params"], context: IpcContext) => C[M]["result"] | Promise<C[M]["result"]>;
} & { readonly [M in keyof N]: (params: N[M]) => void };

export interface IpcContext {
  /** Aborts when the caller gives up or is gone. */
  readonly signal: AbortSignal;
}

/** One side of a channel between a process and its child. Disposing rejects what is pending and stops listening. */
export interface IpcPeer<C extends Calls<C>, N> extends Disposable {
  /**
   * Calls the other side. Fails with the `Problem` that it threw, with `process.gone` when it ends first,
   * `process.timeout`, or `process.busy` when too many calls wait. Aborting rejects with the reason and tells the
   * other side, which may have acted already.
   */
  call<M extends keyof C & string>(
    method: M,
    params: C[M]["params"],
    options?: IpcCallOptions,
  ): Promise<C[M]["result"]>;
  /**
   * Sends without an answer. False when it was dropped: the other side is gone, or reads so slowly that too many notes
   * wait to be written.
   */
  notify<M extends keyof N & string>(method: M, params: N[M]): boolean;
  /** Resolves when the other side is gone or the peer was disposed. */
  readonly closed: Promise<void>;
}

export interface IpcPeerOptions {
  /** Disposes the peer when it aborts. */
  readonly signal?: AbortSignal;
  /** Told of what a handler threw that is no `Problem`, and of a note whose receiver threw: a bug, for the log. */
  readonly onFault?: (method: string, failure: unknown) => void;
  /** Calls that may wait for their answer at a time. Default 1,024. */
  readonly maxPending?: number;
}

/** `process` in a child, the `ChildProcess` in its parent; forked with `serialization: "advanced"`. */
type IpcPort = NodeJS.Process | ChildProcess;

// biome-ignore lint/complexity/noBannedTypes: the absence of notes is the empty map of notes
type NoNotes = {};

/**
 * Opens typed calls in both directions over a child-process channel. `Mine` and `MyNotes` are what this side answers
 * and receives, `Theirs` and `TheirNotes` what it may ask and tell.
 */
export function openIpcPeer<
  Mine extends Calls<Mine>,
  Theirs extends Calls<Theirs>,
  MyNotes = NoNotes,
  TheirNotes = NoNotes,
>(port: IpcPort, handlers: IpcHandlers<Mine, MyNotes>, options: IpcPeerOptions = {}): IpcPeer<Theirs, TheirNotes> {
  // The types hold at the two ends of the channel; in between a method is a name.
  return new ChannelPeer(port, handlers as Readonly<Record<string, Handler>>, options) as IpcPeer<Theirs, TheirNotes>;
}

type Handler = (params: unknown, context: IpcContext) => unknown;
const DEFAULT_MAX_PENDING = 1_024;
/** Notes that may wait for room in the channel. */
const MAX_UNWRITTEN_NOTES = 256;
/** Of a note. Made once: an abort has a stack trace taken. */
const NOBODY_WAITS: IpcContext = { signal: AbortSignal.abort() };

class ChannelPeer {
  readonly closed: Promise<void>;
  readonly #port: IpcPort;
  readonly #handlers: Readonly<Record<string, Handler>>;
  readonly #options: IpcPeerOptions;
  readonly #pending: PendingCalls;
  readonly #answering = new Map<number, AbortController>();
  readonly #settleClosed: () => void;
  #unwrittenNotes = 0;
  #isClosed = false;

  constructor(port: IpcPort, handlers: Readonly<Record<string, Handler>>, options: IpcPeerOptions) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.closed = promise;
    this.#settleClosed = resolve;
    this.#port = port;
    this.#handlers = handlers;
    this.#options = options;
    this.#pending = new PendingCalls(options.maxPending ?? DEFAULT_MAX_PENDING, (id) => this.#cancel(id));
    port.on("message", this.#onMessage);
    port.on("disconnect", this.#close);
    options.signal?.addEventListener("abort", this.#close, { once: true });
    if (!port.connected || options.signal?.aborted) this.#close();
  }

  async call(method: string, params: unknown, options: IpcCallOptions = {}): Promise<unknown> {
    if (this.#isClosed) throw new Problem("process.gone");
    const { id, answer } = this.#pending.open(options);
    this.#send({ channel: CHANNEL, kind: "call", id, method, params }, (failure) => {
      if (failure !== null) this.#pending.reject(id, toSendProblem(failure));
    });
    return answer;
  }

  notify(method: string, params: unknown): boolean {
    if (this.#isClosed || this.#unwrittenNotes >= MAX_UNWRITTEN_NOTES) return false;
    this.#unwrittenNotes += 1;
    this.#send({ channel: CHANNEL, kind: "note", method, params }, (failure) => {
      this.#unwrittenNotes -= 1;
      if (failure !== null && !this.#isClosed) this.#options.onFault?.(method, failure);
    });
    return true;
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  readonly #close = (): void => {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#port.off("message", this.#onMessage);
    this.#port.off("disconnect", this.#close);
    this.#options.signal?.removeEventListener("abort", this.#close);
    const gone = new Problem("process.gone");
    for (const abort of this.#answering.values()) abort.abort(gone);
    this.#pending.rejectAll(gone);
    this.#settleClosed();
  };

  readonly #onMessage = (value: unknown): void => {
    const message = asIpcMessage(value);
    if (message === undefined) return;
    switch (message.kind) {
      case "call":
        void this.#answer(message.id, message.method, message.params);
        break;
      case "result":
        this.#pending.resolve(message.id, message.value);
        break;
      case "failure":
        this.#pending.reject(message.id, fromIpcProblem(message.problem));
        break;
      case "cancel":
        this.#answering.get(message.id)?.abort(new DOMException("the caller gave up", "AbortError"));
        break;
      case "note":
        this.#receive(message.method, message.params);
    }
  };

  async #answer(id: number, method: string, params: unknown): Promise<void> {
    const abort = new AbortController();
    this.#answering.set(id, abort);
    try {
      const value = await this.#handler(method)(params, { signal: abort.signal });
      this.#send({ channel: CHANNEL, kind: "result", id, value }, (failure) => {
        if (failure !== null) this.#fail(id, method, failure);
      });
    } catch (failure) {
      this.#fail(id, method, failure);
    } finally {
      this.#answering.delete(id);
    }
  }

  #fail(id: number, method: string, failure: unknown): void {
    if (toProblem(failure).code === "internal") this.#options.onFault?.(method, failure);
    this.#send({ channel: CHANNEL, kind: "failure", id, problem: toIpcProblem(failure) }, this.#closeOnFailure);
  }

  #receive(method: string, params: unknown): void {
    try {
      this.#handler(method)(params, NOBODY_WAITS);
    } catch (failure) {
      this.#options.onFault?.(method, failure);
    }
  }

  #handler(method: string): Handler {
    const handler = Object.hasOwn(this.#handlers, method) ? this.#handlers[method] : undefined;
    if (handler === undefined) throw new Problem("api.unknown_path", { detail: `This process has no ${method}.` });
    return handler;
  }

  #cancel(id: number): void {
    this.#send({ channel: CHANNEL, kind: "cancel", id }, this.#closeOnFailure);
  }

  readonly #closeOnFailure = (failure: unknown): void => {
    if (failure !== null) this.#close();
  };

  /** `onWritten` gets null, or why not: a payload that cannot be cloned, a channel that closed meanwhile. */
  #send(message: IpcMessage, onWritten: (failure: unknown) => void): void {
    if (this.#isClosed || this.#port.send === undefined) return;
    try {
      this.#port.send(message, undefined, undefined, onWritten);
    } catch (failure) {
      // Serialisation alone throws here; what the channel does is told to the callback.
      onWritten(new UnsendablePayload(failure));
    }
  }
}

/** A payload that cannot be cloned: the sender's bug. */
class UnsendablePayload extends Error {
  constructor(cause: unknown) {
    super("the payload cannot be sent to another process", { cause });
  }
}

/** Whatever else keeps a message from leaving is the channel's end. */
function toSendProblem(failure: unknown): Problem {
  return failure instanceof UnsendablePayload ? toProblem(failure) : new Problem("process.gone", { cause: failure });
}
