import type { Socket } from "node:net";
import type { ProblemCode } from "@gatehouse/core";
import { BodyReader } from "../http1/body-reader.ts";
import { getAllFields, getField } from "../http1/fields.ts";
import type { RequestHead, ResponseHead } from "../http1/messages.ts";
import { ResponseHeadReader } from "../http1/response-head-reader.ts";
import type { Refusal, RequestContext } from "../pipeline/request-context.ts";
import { type OwnAnswer, transformAnswer } from "../pipeline/transform-answer.ts";
import type { UpstreamConnection, UpstreamUser } from "../upstream/upstream-connection.ts";
import { bodyCoding, isSearchable } from "./body-coding.ts";
import { RECODING_BYTES } from "./coding-window.ts";
import type { Recodings } from "./recodings.ts";
import { RequestWriter } from "./request-writer.ts";
import { type CodedBody, type RecodingOwner, ResponseWriter } from "./response-writer.ts";

/** How an exchange ended. `rest`: bytes that the client sent behind its request. */
export type ExchangeEnd =
  /** Both messages are whole. `keepsClient`: the client may go on. */
  | { readonly kind: "done"; readonly keepsClient: boolean; readonly rest: Buffer | undefined }
  /** Nothing was answered yet: the session answers with a problem, or tries once more when `mayRetry`. */
  | {
      readonly kind: "failed";
      readonly refusal: Refusal;
      readonly mayRetry: boolean;
      readonly rest: Buffer | undefined;
    }
  /** The answer had begun; the client can only be cut off. */
  | { readonly kind: "broken"; readonly code: ProblemCode }
  /** 101: both sides are now raw; `done` follows at the end. */
  | { readonly kind: "upgraded" };

/** What an exchange needs of its session. */
export interface ExchangeOwner {
  readonly client: Socket;
  readonly recodings: Recodings;
  onExchangeEnd(end: ExchangeEnd): void;
  /** Something was thrown that should not have been. */
  onFault(thrown: unknown): void;
}

const MAX_INTERIM_HEADS = 16;
const IDEMPOTENT: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"]);

/** Whether the request may be sent once more when its connection closed before any answer. */
export function isRepeatable({ method, framing }: RequestHead): boolean {
  return framing.kind === "none" && IDEMPOTENT.has(method);
}

/** One request and its response between a client and an upstream, streamed both ways with back-pressure. */
export class Exchange implements UpstreamUser, RecodingOwner {
  readonly #context: RequestContext;
  readonly #owner: ExchangeOwner;
  readonly #upstream: UpstreamConnection;
  readonly #request: RequestWriter;
  readonly #responseHeads = new ResponseHeadReader();
  readonly #response: ResponseWriter;
  #responseBody: BodyReader | undefined;
  #responseHead: ResponseHead | undefined;
  #interimHeads = 0;
  #ended = false;
  #isRaw = false;
  #sawBytes = false;
  /** Nothing more is read of the upstream. */
  #isSettled = false;

  constructor(owner: ExchangeOwner, context: RequestContext, upstream: UpstreamConnection) {
    this.#owner = owner;
    this.#context = context;
    this.#upstream = upstream;
    this.#request = new RequestWriter(upstream.socket, context);
    this.#response = new ResponseWriter(owner.client, context, this);
  }

  /** Status of the final answer; 0 before there is one. */
  get status(): number {
    return this.#responseHead?.status ?? 0;
  }

  get bytesIn(): number {
    return this.#request.bytes;
  }

  get bytesOut(): number {
    return this.#response.bytes;
  }

  get awaitsResponse(): boolean {
    return this.#responseHead === undefined;
  }

  /** Whether bytes of the client belong to this exchange still. */
  get readsRequest(): boolean {
    return !this.#request.isDone || this.#isRaw;
  }

  /** Sends the head, and what already came of the body. */
  start(first: Buffer | undefined): void {
    this.#upstream.attach(this);
    this.#followRequest(this.#request.start(first));
  }

  /** Body bytes of the request, or raw bytes after an upgrade. */
  onClientData(chunk: Buffer): void {
    if (this.#ended || this.#isSettled) return;
    if (this.#isRaw) this.#request.relay(chunk);
    else this.#followRequest(this.#request.push(chunk));
    if (this.#upstream.socket.writableNeedDrain) this.#owner.client.pause();
  }

  onClientDrain(): void {
    this.#response.resume();
    this.onRoom();
  }

  onRoom(): void {
    if (!this.#isHeldUp) this.#upstream.socket.resume();
  }

  /** The response, encoded anew, is whole at last. */
  onWhole(): void {
    this.#complete();
  }

  onUnreadable(code: ProblemCode): void {
    this.#fail(code, "");
  }

  onFault(thrown: unknown): void {
    this.#owner.onFault(thrown);
  }

  /** Somebody on the way to the client has enough for now. */
  get #isHeldUp(): boolean {
    return this.#owner.client.writableNeedDrain || this.#response.isFull;
  }

  /** The client left: what it asked for is of no use any more. */
  abandon(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#response[Symbol.dispose]();
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
    try {
      if (this.#isRaw) this.#response.relay(chunk);
      else if (this.#responseBody === undefined) this.#readHeads(chunk);
      else this.#readBody(chunk);
    } catch (thrown) {
      this.#owner.onFault(thrown);
    }
    if (!this.#ended && !this.#isSettled && this.#isHeldUp) this.#upstream.socket.pause();
  }

  onUpstreamClosed(): void {
    if (this.#ended) return;
    if (this.#isRaw) {
      this.#response.end([]);
      this.#end({ kind: "done", keepsClient: false, rest: undefined });
    } else if (this.#responseBody === undefined) {
      this.#fail("gate.upstream_unreachable", "The destination closed the connection before it answered.");
    } else if (this.#responseBody.end() === "complete") {
      this.#response.end([]);
      this.#finish(false);
    } else this.#end({ kind: "broken", code: "gate.upstream_protocol" });
  }

  #followRequest(why: string | undefined): void {
    if (why !== undefined) this.#fail("gate.ambiguous_request", `The request's body is refused: ${why}.`);
  }

  #readHeads(chunk: Buffer): void {
    let bytes = chunk;
    do {
      const result = this.#responseHeads.push(bytes, this.#context.head);
      if (result.kind === "more") return;
      if (result.kind === "refused") return this.#failProtocol(`its head is malformed: ${result.why}`);
      const { head, rest } = result;
      if (head.status === 101) return this.#upgrade(head, rest);
      if (head.status >= 200) return this.#begin(head, rest);
      this.#interimHeads += 1;
      if (this.#interimHeads > MAX_INTERIM_HEADS) return this.#failProtocol("too many interim answers");
      this.#response.interimHead(head);
      bytes = rest;
    } while (bytes.length > 0);
  }

  #begin(head: ResponseHead, rest: Buffer): void {
    const own = transformAnswer(head, this.#context);
    if (own !== undefined) return this.#answer(own);
    const coded = this.#readCoding(head);
    if (coded !== undefined && "code" in coded) return this.#fail(coded.code, coded.detail);
    this.#responseHead = head;
    this.#responseBody = new BodyReader(head.framing);
    const mayKeepOpen = this.#context.head.isPersistent && this.#request.isDone;
    if (coded === undefined) this.#response.head(head, mayKeepOpen);
    else this.#response.recodedHead(head, mayKeepOpen, coded);
    if (head.framing.kind === "none") {
      this.#response.flush();
      this.#finish(rest.length === 0);
    } else if (rest.length > 0) this.#readBody(rest);
    else this.#response.flush();
  }

  /** In what coding the body is decoded, searched and encoded anew; `undefined` where it goes as it came. */
  #readCoding({ fields, framing }: ResponseHead): CodedBody | Refusal | undefined {
    const { plan, run } = this.#context;
    if (!plan.isScrubbed || run.sought.isEmpty) return undefined;
    const coding = isSearchable(fields) ? bodyCoding(fields) : "unknown";
    if (coding === "identity") return undefined;
    if (framing.kind === "none") return coding === "unknown" ? undefined : { coding, slot: undefined };
    if (coding === "unknown") {
      const detail = "The answer is refused: in its coding or charset it cannot be searched for credentials.";
      return { code: "gate.upstream_protocol", detail };
    }
    const slot = this.#owner.recodings.open(run.snapshot.runId);
    if (slot.resize(RECODING_BYTES)) return { coding, slot };
    return { code: "gate.overloaded", detail: "Too many encoded answers are being searched for credentials." };
  }

  /** Gives the client another answer; what still comes of the destination's is not read. */
  #answer({ head, body }: OwnAnswer): void {
    this.#responseHead = head;
    this.#response.head(head, this.#context.head.isPersistent && this.#request.isDone);
    this.#response.relay(body);
    this.#response.end([]);
    this.#finish(false);
  }

  #readBody(chunk: Buffer): void {
    const step = this.#responseBody?.push(chunk);
    if (step === undefined) return;
    this.#response.body(step);
    if (step.state === "refused") this.#end({ kind: "broken", code: "gate.upstream_protocol" });
    else if (step.state === "end") this.#finish(step.rest === undefined || step.rest.length === 0);
  }

  #upgrade(head: ResponseHead, rest: Buffer): void {
    const { upgrade } = this.#context;
    const isAsked = upgrade !== undefined && getField(head.fields, "upgrade")?.toLowerCase() === upgrade;
    if (!isAsked || !this.#request.isDone) return this.#failProtocol("it switched protocols unasked");
    // They were taken out of the request: messages that are compressed cannot be searched.
    if (this.#context.plan.isScrubbed && getAllFields(head.fields, "sec-websocket-extensions").length > 0) {
      return this.#failProtocol("it extends the WebSocket unasked");
    }
    this.#responseHead = head;
    this.#isRaw = true;
    this.#response.upgradeHead(head, upgrade);
    this.#owner.onExchangeEnd({ kind: "upgraded" });
    if (rest.length > 0) this.#response.relay(rest);
    if (!this.#ended && this.#request.rest !== undefined) this.#request.relay(this.#request.rest);
  }

  /** The response came whole. The connections go on only when both messages are, and nothing is in doubt. */
  #finish(isClean: boolean): void {
    const isReusable = isClean && this.#request.isDone && (this.#responseHead?.isPersistent ?? false);
    if (isReusable && this.#upstream.isOpen) {
      this.#upstream.served += 1;
      this.#upstream.detach();
    } else this.#upstream[Symbol.dispose]();
    this.#isSettled = true;
    if (this.#response.isWhole) this.#complete();
  }

  #complete(): void {
    const keepsClient = this.#response.keepsOpen && this.#request.isDone;
    this.#end({ kind: "done", keepsClient, rest: this.#request.rest });
  }

  #failProtocol(why: string): void {
    this.#fail("gate.upstream_protocol", `The answer is refused: ${why}.`);
  }

  #fail(code: ProblemCode, detail: string): void {
    if (this.#ended) return;
    // A kept connection may have been closed by the origin just as we used it: nothing was processed.
    const mayRetry =
      !this.#sawBytes &&
      code === "gate.upstream_unreachable" &&
      this.#upstream.served > 0 &&
      isRepeatable(this.#context.head);
    this.#upstream[Symbol.dispose]();
    const { rest } = this.#request;
    const hasBegun = this.#responseHead !== undefined;
    this.#end(hasBegun ? { kind: "broken", code } : { kind: "failed", refusal: { code, detail }, mayRetry, rest });
  }

  #end(end: ExchangeEnd): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#response[Symbol.dispose]();
    this.#owner.onExchangeEnd(end);
  }
}
