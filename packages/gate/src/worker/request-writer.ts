import type { Socket } from "node:net";
import { BodyReader } from "../http1/body-reader.ts";
import { field } from "../http1/fields.ts";
import type { Field, FramingRefusal } from "../http1/messages.ts";
import { encodeChunk, encodeLastChunk, serialiseRequestHead } from "../http1/serialise.ts";
import { forwardTrailers } from "../pipeline/forward-trailers.ts";
import { type MethodInBody, watchMethod } from "../pipeline/method-in-body.ts";
import type { RequestContext } from "../pipeline/request-context.ts";
import { WriteBatch } from "./write-batch.ts";

/** Sends one request to an upstream: the head as the stages left it, the body as it comes. */
export class RequestWriter {
  readonly #batch: WriteBatch;
  readonly #context: RequestContext;
  readonly #body: BodyReader;
  readonly #watch: MethodInBody | undefined;
  #isDone: boolean;
  #rest: Buffer | undefined;
  #bytes = 0;

  constructor(socket: Socket, context: RequestContext) {
    this.#batch = new WriteBatch(socket);
    this.#context = context;
    this.#body = new BodyReader(context.head.framing);
    this.#watch = watchMethod(context);
    this.#isDone = context.head.framing.kind === "none";
  }

  /** The whole request was sent. */
  get isDone(): boolean {
    return this.#isDone;
  }

  /** What the client sent behind the request. */
  get rest(): Buffer | undefined {
    return this.#rest;
  }

  /** Body bytes sent so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Sends the head, and what already came of the body, in one write. */
  start(first: Buffer | undefined): FramingRefusal | undefined {
    this.#batch.add(serialiseRequestHead(requestHead(this.#context)));
    if (!this.#isDone && first !== undefined) return this.push(first);
    if (this.#isDone) this.#keepRest(first);
    this.#batch.flush();
    return undefined;
  }

  /** Sends what came of the body. Answers why when its framing is broken, or it states another method. */
  push(chunk: Buffer): FramingRefusal | undefined {
    const step = this.#body.push(chunk);
    if (this.#watch?.sees(step.data, step.state === "end")) return "a field of it names another method";
    const isChunked = this.#context.head.framing.kind === "chunked";
    for (const data of step.data) this.#add(data, isChunked);
    if (isChunked && step.state === "end") {
      this.#batch.add(encodeLastChunk(forwardTrailers(step.trailers, this.#context)));
    }
    this.#batch.flush();
    if (step.state === "refused") return step.why ?? "malformed body";
    if (step.state === "end") {
      this.#isDone = true;
      this.#keepRest(step.rest);
    }
    return undefined;
  }

  /** Passes bytes on after the protocol was switched. */
  relay(chunk: Buffer): void {
    this.#add(chunk, false);
    this.#batch.flush();
  }

  #add(data: Buffer, isChunked: boolean): void {
    this.#bytes += data.length;
    if (!isChunked) return this.#batch.add(data);
    for (const piece of encodeChunk(data)) this.#batch.add(piece);
  }

  #keepRest(rest: Buffer | undefined): void {
    this.#rest = rest !== undefined && rest.length > 0 ? rest : undefined;
  }
}

function requestHead({ head, host, port, isTls, path, query, upgrade, fields }: RequestContext) {
  const name = host.includes(":") ? `[${host}]` : host;
  const own = [field("Host", port === (isTls ? 443 : 80) ? name : `${name}:${port}`), ...framingFields(head)];
  if (upgrade !== undefined) own.push(field("Connection", "Upgrade"), field("Upgrade", upgrade));
  return { method: head.method, target: query === undefined ? path : `${path}?${query}`, fields: [...own, ...fields] };
}

function framingFields({ framing, fields }: RequestContext["head"]): readonly Field[] {
  if (framing.kind === "length") return [field("Content-Length", String(framing.bytes))];
  if (framing.kind === "chunked") return [field("Transfer-Encoding", "chunked")];
  // A length of zero was stated: some servers want it of a POST.
  return fields.some(({ lowerName }) => lowerName === "content-length") ? [field("Content-Length", "0")] : [];
}
