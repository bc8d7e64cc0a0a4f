import type { Socket } from "node:net";
import type { ProblemCode } from "@gatehouse/core";
import { BodyReader } from "../http1/body-reader.ts";
import { field } from "../http1/fields.ts";
import type { BodyStep, ResponseHead } from "../http1/messages.ts";
import { ResponseHeadReader } from "../http1/response-head-reader.ts";
import { encodeChunk, encodeLastChunk, serialiseRequestHead } from "../http1/serialise.ts";
import type { Refusal, RequestContext } from "../pipeline/request-context.ts";
import { Scrubber } from "../scrub/scrubber.ts";
import type { UpstreamConnection, UpstreamUser } from "../upstream/upstream-connection.ts";
import { isOpaqueText, ResponseWriter } from "./response-writer.ts";

/** How an exchange ended. */
export type ExchangeEnd =
  /** Both messages are whole. `keepsClient`: the client may go on. `rest`: bytes of its next request. */
  | { readonly kind: "done"; readonly keepsClient: boolean; readonly rest: Buffer | undefined }
  /** Nothing was answered yet: the session answers with a problem, or tries once more when `mayRetry`. */
  | { readonly kind: "failed"; readonly refusal: Refusal; readonly mayRetry: boolean }
  /** The answer had begun; the client can only be cut off. */
  | { readonly kind: "broken"; readonly code: ProblemCode }
  /** 101: both sides are now raw. */
  | { readonly kind: "upgraded" };

/** What an exchange needs of its session. */
export interface ExchangeOwner {
  readonly client: Socket;
  onExchangeEnd(end: ExchangeEnd): void;
}

const MAX_INTERIM_HEADS = 16;
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

/** One request and its response between a client and an upstream, streamed both ways with back-pressure. */
export class Exchange implements UpstreamUser {
  readonly context: RequestContext;
  readonly #owner: ExchangeOwner;
  readonly #upstream: UpstreamConnection;
  readonly #requestBody: BodyReader;
  readonly #responseHeads = new ResponseHeadReader();
  readonly #writer: ResponseWriter;
  readonly #scrubber: Scrubber;
  #responseBody: BodyReader | undefined;
  #responseHead: ResponseHead | undefined;
  #interimHeads = 0;
  #requestDone: boolean;
  #requestRest: Buffer | undefined;
  #ended = false;
  #isRaw = false;
  #sawBytes = false;
  #bytesIn = 0;

  constructor(owner: ExchangeOwner, context: RequestContext, upstream: UpstreamConnection) {
    this.#owner = owner;
    this.context = context;
    this.#upstream = upstream;
    this.#requestBody = new BodyReader(context.head.framing);
    this.#requestDone = context.head.framing.kind === "none";
    this.#scrubber = new Scrubber(context.run.snapshot.scrub);
    this.#writer = new ResponseWriter(owner.client, { scrubber: this.#scrubber, scrubsBody: context.isGranted });
  }

  get status(): number {
    return this.#responseHead?.status ?? 0;
  }

  get bytesIn(): number {
    return this.#bytesIn;
  }

  get bytesOut(): number {
    return this.#writer.bytes;
  }

  get awaitsResponse(): boolean {
    return this.#responseHead === undefined;
  }

  /** Whether request bytes are still to come from the client. */
  get readsRequest(): boolean {
    return !this.#requestDone || this.#isRaw;
  }

  /** Sends the head, and what already came of the body. */
  start(rest: Buffer): void {
    this.#upstream.attach(this);
    const { socket } = this.#upstream;
    if (this.#requestDone) {
      this.#requestRest = rest.length > 0 ? rest : undefined;
      socket.write(this.#headBytes());
      return;
    }
    socket.cork();
    socket.write(this.#headBytes());
    if (rest.length > 0) this.onClientData(rest);
    socket.uncork();
  }

  /** Body bytes of the request, or raw bytes after an upgrade. */
  onClientData(chunk: Buffer): void {
    if (this.#ended) return;
    if (this.#isRaw) this.#forward(chunk);
    else this.#forwardBody(this.#requestBody.push(chunk));
    if (this.#upstream.socket.writableNeedDrain) this.#owner.client.pause();
  }

  onClientDrain(): void {
    this.#upstream.socket.resume();
  }

  /** The client left: what it asked for is of no use any more. */
  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#upstream[Symbol.dispose]();
  }

  /** Ends an exchange that took too long. */
  timeOut(): void {
    this.#fail("gate.upstream_timeout", "The destination did not answer in time.");
  }

  onUpstreamDrain(): void {
    this.#owner.client.resume();
  }

  onUpstreamData(chunk: Buffer): void {
    if (this.#ended) return;
    this.#sawBytes = true;
    if (this.#isRaw) this.#writeRaw(chunk);
    else if (this.#responseBody === undefined) this.#readHeads(chunk);
    else this.#readBody(chunk);
    if (this.#owner.client.writableNeedDrain) this.#upstream.socket.pause();
  }

  onUpstreamClosed(): void {
    if (this.#ended) return;
    if (this.#isRaw) {
      this.#owner.client.write(this.#scrubber.end());
      this.#end({ kind: "done", keepsClient: false, rest: undefined });
    } else if (this.#responseBody === undefined) {
      this.#fail("gate.upstream_unreachable", "The destination closed the connection before it answered.");
    } else if (this.#responseBody.end() === "complete") {
      this.#writer.end([]);
      this.#finish(false);
    } else this.#end({ kind: "broken", code: "gate.upstream_protocol" });
  }

  #headBytes(): Buffer {
    const { head, host, port, isTls, path, query, fields } = this.context;
    const isDefaultPort = port === (isTls ? 443 : 80);
    const name = host.includes(":") ? `[${host}]` : host;
    const own = [field("Host", isDefaultPort ? name : `${name}:${port}`)];
    const { framing } = head;
    if (framing.kind === "length") own.push(field("Content-Length", String(framing.bytes)));
    else if (framing.kind === "chunked") own.push(field("Transfer-Encoding", "chunked"));
    else if (head.fields.some(({ lowerName }) => lowerName === "content-length"))
      own.push(field("Content-Length", "0"));
    if (head.upgrade !== undefined) own.push(field("Connection", "Upgrade"), field("Upgrade", head.upgrade));
    const target = query === undefined ? path : `${path}?${query}`;
    return serialiseRequestHead({ method: head.method, target, fields: [...own, ...fields] });
  }

  #forwardBody(step: BodyStep): void {
    const { socket } = this.#upstream;
    const isChunked = this.context.head.framing.kind === "chunked";
    for (const data of step.data) {
      this.#bytesIn += data.length;
      if (!isChunked) socket.write(data);
      else for (const piece of encodeChunk(data)) socket.write(piece);
    }
    if (step.state === "refused") {
      this.#fail("gate.ambiguous_request", `The request's body is malformed: ${step.why ?? "framing"}.`);
    } else if (step.state === "end") {
      if (isChunked) socket.write(encodeLastChunk(step.trailers));
      this.#requestDone = true;
      this.#requestRest = step.rest !== undefined && step.rest.length > 0 ? step.rest : undefined;
    }
  }

  #forward(chunk: Buffer): void {
    this.#bytesIn += chunk.length;
    this.#upstream.socket.write(chunk);
  }

  #readHeads(chunk: Buffer): void {
    let bytes = chunk;
    for (;;) {
      const result = this.#responseHeads.push(bytes, this.context.head);
      if (result.kind === "more") return;
      if (result.kind === "refused")
        return this.#fail("gate.upstream_protocol", `Its head is malformed: ${result.why}.`);
      if (result.head.status >= 200 || result.head.status === 101) return this.#begin(result.head, result.rest);
      this.#interimHeads += 1;
      if (this.#interimHeads > MAX_INTERIM_HEADS)
        return this.#fail("gate.upstream_protocol", "Too many interim answers.");
      if (this.context.head.minorVersion === 1) this.#writer.head(result.head, this.context.head, true);
      bytes = result.rest;
      if (bytes.length === 0) return;
    }
  }

  #begin(head: ResponseHead, rest: Buffer): void {
    const { head: request, isGranted } = this.context;
    if (head.status === 101) return this.#upgrade(head, rest);
    if (isGranted && isOpaqueText(head)) {
      return this.#fail("gate.upstream_protocol", "It answered with an encoding that was not asked for.");
    }
    this.#responseHead = head;
    this.#responseBody = new BodyReader(head.framing);
    const { client } = this.#owner;
    client.cork();
    this.#writer.head(head, request, request.isPersistent && this.#requestDone);
    if (head.framing.kind === "none") {
      if (rest.length > 0) this.#upstream[Symbol.dispose]();
      this.#finish(rest.length === 0);
    } else if (rest.length > 0) this.#readBody(rest);
    client.uncork();
  }

  #readBody(chunk: Buffer): void {
    const step = this.#responseBody?.push(chunk);
    if (step === undefined) return;
    const isOnePiece = step.data.length === 1 && step.state === "more";
    if (!isOnePiece) this.#owner.client.cork();
    this.#writer.body(step);
    if (step.state === "refused") this.#end({ kind: "broken", code: "gate.upstream_protocol" });
    else if (step.state === "end") this.#finish(step.rest === undefined || step.rest.length === 0);
    if (!isOnePiece) this.#owner.client.uncork();
  }

  #upgrade(head: ResponseHead, rest: Buffer): void {
    const { head: request } = this.context;
    if (request.upgrade === undefined || !this.#requestDone) {
      return this.#fail("gate.upstream_protocol", "It switched protocols unasked.");
    }
    this.#responseHead = head;
    this.#isRaw = true;
    this.#writer.head(head, request, true);
    this.#owner.onExchangeEnd({ kind: "upgraded" });
    if (rest.length > 0) this.#writeRaw(rest);
    if (this.#requestRest !== undefined) this.#forward(this.#requestRest);
  }

  #writeRaw(chunk: Buffer): void {
    this.#owner.client.write(this.context.isGranted ? this.#scrubber.push(chunk) : chunk);
  }

  /** The response is whole. The connections go on only when both messages are, and nothing is in doubt. */
  #finish(isClean: boolean): void {
    const { head: request } = this.context;
    const isReusable = isClean && this.#requestDone && (this.#responseHead?.isPersistent ?? false);
    if (isReusable && this.#upstream.isOpen) {
      this.#upstream.detach();
      this.#upstream.served += 1;
    } else this.#upstream[Symbol.dispose]();
    const keepsClient = request.isPersistent && this.#requestDone && !this.#writer.endsByClosing;
    this.#end({ kind: "done", keepsClient, rest: this.#requestRest });
  }

  #fail(code: ProblemCode, detail: string): void {
    if (this.#ended) return;
    // A kept connection may have been closed by the origin just as we used it: nothing was processed.
    const mayRetry =
      !this.#sawBytes &&
      code === "gate.upstream_unreachable" &&
      this.#upstream.served > 0 &&
      this.context.head.framing.kind === "none" &&
      IDEMPOTENT.has(this.context.head.method);
    this.#upstream[Symbol.dispose]();
    const hasBegun = this.#responseHead !== undefined;
    this.#end(hasBegun ? { kind: "broken", code } : { kind: "failed", refusal: { code, detail }, mayRetry });
  }

  #end(end: ExchangeEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#owner.onExchangeEnd(end);
  }
}
