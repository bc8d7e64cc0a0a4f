import type { Readable } from "node:stream";
import { Problem } from "@gatehouse/core";
import { type ArrivalBounds, Envelopes } from "../read-body.ts";

/** What arrives before it is asked for; beyond it the caller waits. */
const READ_AHEAD_BYTES = 16_384;

/**
 * Envelopes of a request for one reader, as they come. By hand, and not by an iterator of the stream in a generator: ten
 * thousand idle streams wait here, and each would hold some 6 KiB more. Reads nothing before it is asked for the first.
 */
export class ArrivingMessages<T> implements AsyncIterableIterator<T> {
  readonly #request: Readable;
  readonly #parse: (envelope: Buffer) => T;
  readonly #envelopes: Envelopes;
  #reader: PromiseWithResolvers<IteratorResult<T>> | undefined;
  #isReading = false;
  #hasEnded = false;
  #failure: unknown;

  constructor(request: Readable, bounds: ArrivalBounds, parse: (envelope: Buffer) => T) {
    this.#request = request;
    this.#envelopes = new Envelopes(bounds);
    this.#parse = parse;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Fails with `api.malformed`, or as the library for what is too long. */
  next(): Promise<IteratorResult<T>> {
    const reader = Promise.withResolvers<IteratorResult<T>>();
    this.#reader = reader;
    this.#handOver();
    if (this.#reader !== undefined) this.#readOn();
    return reader.promise;
  }

  /** The reader wants no more: what still comes is let go of. */
  return(): Promise<IteratorResult<T>> {
    this.#hasEnded = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  #readOn(): void {
    if (this.#isReading) return void this.#request.resume();
    this.#isReading = true;
    this.#request.on("data", (chunk: Buffer) => this.#take(chunk));
    this.#request.on("end", () => this.#end());
    this.#request.on("close", () => this.#end(new Problem("api.malformed", { detail: "The call was cut off." })));
  }

  #take(chunk: Buffer): void {
    if (this.#hasEnded) return;
    this.#envelopes.add(chunk);
    this.#handOver();
    if (this.#reader === undefined && this.#envelopes.bytes >= READ_AHEAD_BYTES) this.#request.pause();
  }

  #end(failure?: Problem): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#failure = failure;
    this.#handOver();
  }

  #handOver(): void {
    const reader = this.#reader;
    if (reader === undefined) return;
    try {
      const item = this.#next();
      if (item === undefined) return;
      reader.resolve(item);
    } catch (failure) {
      this.#hasEnded = true;
      this.#failure = failure;
      reader.reject(failure);
    }
    this.#reader = undefined;
  }

  /** `undefined`: it has not come yet. */
  #next(): IteratorResult<T> | undefined {
    if (this.#failure !== undefined) throw this.#failure;
    const envelope = this.#envelopes.take();
    if (envelope !== undefined) return { done: false, value: this.#parse(envelope) };
    if (!this.#hasEnded) return undefined;
    this.#envelopes.end();
    return { done: true, value: undefined };
  }
}
