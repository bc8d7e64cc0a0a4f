import type { Socket } from "node:net";
import { connectionOptions, field, HOP_BY_HOP } from "../http1/fields.ts";
import type { BodyStep, Field, RequestHead, ResponseHead } from "../http1/messages.ts";
import { encodeChunk, encodeLastChunk, serialiseResponseHead } from "../http1/serialise.ts";
import type { RequestContext } from "../pipeline/request-context.ts";
import { Scrubber } from "../scrub/scrubber.ts";
import { WebSocketScrubber } from "../scrub/websocket-scrubber.ts";
import { type Coding, mayBeText, recodedFields } from "./body-coding.ts";
import { RecodedBody, type RecodedBodyOwner } from "./recoded-body.ts";
import type { RecodingSlot } from "./recodings.ts";
import { WriteBatch } from "./write-batch.ts";

/** How a response's body is framed towards the client. */
type Outgoing = "none" | "length" | "chunked" | "close";

/** What a response that is encoded anew tells of itself; any other one is written when it is given. */
export type RecodingOwner = Pick<RecodedBodyOwner, "onRoom" | "onWhole" | "onUnreadable" | "onFault">;

/** An answer's coding, and what was taken for its body; no slot where it has none. */
export interface CodedBody {
  readonly coding: Coding;
  readonly slot: RecodingSlot | undefined;
}

/** Writes one response to the client: head without hop-by-hop fields, body in the client's framing, scrubbed. */
export class ResponseWriter implements Disposable {
  readonly #client: Socket;
  readonly #context: RequestContext;
  readonly #owner: RecodingOwner;
  readonly #batch: WriteBatch;
  #recoded: RecodedBody | undefined;
  #bodyScrubber: Scrubber | undefined;
  #messages: WebSocketScrubber | undefined;
  #trailers: readonly Field[] = [];
  #outgoing: Outgoing = "none";
  #keepsOpen = false;
  #bytes = 0;

  constructor(client: Socket, context: RequestContext, owner: RecodingOwner) {
    this.#client = client;
    this.#context = context;
    this.#owner = owner;
    this.#batch = new WriteBatch(client);
  }

  /** Everything that was given was written. */
  get isWhole(): boolean {
    return this.#recoded === undefined;
  }

  /** Whoever gives more should wait for `onRoom`. */
  get isFull(): boolean {
    return this.#recoded?.isFull ?? false;
  }

  /** The client takes more again. */
  resume(): void {
    this.#recoded?.resume();
  }

  /** Body bytes written so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The client was told that it may send another request on this connection. */
  get keepsOpen(): boolean {
    return this.#keepsOpen;
  }

  /** Writes the head of an interim answer (1xx). */
  interimHead({ status, reason, fields }: ResponseHead): void {
    // HTTP/1.0 knows no interim answers.
    if (this.#context.head.minorVersion === 0) return;
    this.#addHead({ status, reason, fields: endToEnd(fields, status) });
    this.flush();
  }

  /** Writes the head that switches protocols. Bytes are passed on with `relay` then. */
  upgradeHead({ status, reason, fields }: ResponseHead, protocol: string): void {
    const own = [field("Connection", "Upgrade"), field("Upgrade", protocol)];
    this.#addHead({ status, reason, fields: [...endToEnd(fields, status), ...own] });
    this.flush();
    if (this.#isSearched) this.#messages = new WebSocketScrubber(this.#context.run.sought);
  }

  /**
   * Prepares the final head, which leaves with what is written next, or with `flush`. `mayKeepOpen`: nothing on this
   * side speaks against another request.
   */
  head({ status, reason, fields, framing }: ResponseHead, mayKeepOpen: boolean): void {
    const { head: request } = this.#context;
    this.#outgoing = outgoingFraming(framing.kind, request);
    this.#keepsOpen = mayKeepOpen && this.#outgoing !== "close";
    const sent = endToEnd(fields, status);
    if (this.#outgoing === "chunked") sent.push(field("Transfer-Encoding", "chunked"));
    if (!this.#keepsOpen) sent.push(field("Connection", "close"));
    else if (request.minorVersion === 0) sent.push(field("Connection", "keep-alive"));
    this.#addHead({ status, reason, fields: sent });
    if (this.#outgoing !== "none" && this.#isSearched) {
      this.#bodyScrubber = new Scrubber(this.#context.run.sought, mayBeText(fields));
    }
  }

  /** `head` of an encoded body, which is decoded, scrubbed and encoded anew: its end is told to the owner. */
  recodedHead(head: ResponseHead, mayKeepOpen: boolean, { coding, slot }: CodedBody): void {
    const fields = recodedFields(head.fields);
    this.head({ ...head, fields, framing: slot === undefined ? head.framing : { kind: "chunked" } }, mayKeepOpen);
    const scrubber = this.#bodyScrubber;
    if (slot === undefined || scrubber === undefined) return;
    this.#bodyScrubber = undefined;
    this.#recoded = new RecodedBody(
      { coding, slot, scrubber },
      {
        onRecoded: (data) => {
          this.#add(data);
          this.flush();
          if (this.#client.writableNeedDrain) this.#recoded?.pause();
        },
        onWhole: () => {
          this.#recoded = undefined;
          this.#writeEnd(this.#trailers);
          this.#owner.onWhole();
        },
        onRoom: () => this.#owner.onRoom(),
        onUnreadable: (code) => this.#owner.onUnreadable(code),
        onFault: (thrown) => this.#owner.onFault(thrown),
      },
    );
  }

  /** Writes what a body step gave. */
  body({ data, state, trailers }: BodyStep): void {
    // What is searched is searched at once: the search looks again at what is held back, for each piece.
    const isSearched = this.#bodyScrubber !== undefined || this.#recoded !== undefined;
    for (const piece of isSearched && data.length > 1 ? [Buffer.concat(data)] : data) this.#addBody(piece);
    if (state === "end") this.end(trailers);
    else this.flush();
  }

  /** Writes bytes of a switched protocol, or of an answer of our own. */
  relay(data: Buffer): void {
    this.#add(this.#messages === undefined ? data : this.#messages.push(data));
    this.flush();
    if (this.#messages?.isRefused) this.#owner.onUnreadable("gate.upstream_protocol");
  }

  /** Sends what was prepared. */
  flush(): void {
    this.#batch.flush();
  }

  /** Writes what is held back, and the end of the body. */
  end(trailers: readonly Field[]): void {
    if (this.#messages !== undefined) this.#add(this.#messages.end());
    if (this.#recoded !== undefined) {
      this.#trailers = recodedFields(trailers);
      this.flush();
      return this.#recoded.end();
    }
    if (this.#bodyScrubber !== undefined) {
      this.#add(this.#bodyScrubber.end());
      this.#bodyScrubber = undefined;
    }
    this.#writeEnd(trailers);
  }

  [Symbol.dispose](): void {
    this.#recoded?.[Symbol.dispose]();
  }

  #writeEnd(trailers: readonly Field[]): void {
    if (this.#outgoing === "chunked") {
      const end = encodeLastChunk(endToEnd(trailers, 200));
      this.#batch.add(trailers.length === 0 ? end : this.#scrubbed(end));
    }
    this.flush();
  }

  get #isSearched(): boolean {
    const { plan, run } = this.#context;
    return plan.isScrubbed && !run.sought.isEmpty;
  }

  #addHead(head: Parameters<typeof serialiseResponseHead>[0]): void {
    this.#batch.add(this.#scrubbed(serialiseResponseHead(head)));
  }

  /** Overwrites in place: for bytes that were just made. */
  #scrubbed(bytes: Buffer): Buffer {
    this.#context.run.sought.scrubHead(bytes);
    return bytes;
  }

  #addBody(data: Buffer): void {
    if (this.#recoded !== undefined) this.#recoded.push(data);
    else this.#add(this.#bodyScrubber === undefined ? data : this.#bodyScrubber.push(data));
  }

  #add(data: Buffer): void {
    if (data.length === 0) return;
    this.#bytes += data.length;
    if (this.#outgoing !== "chunked") return this.#batch.add(data);
    for (const piece of encodeChunk(data)) this.#batch.add(piece);
  }
}

function outgoingFraming(framing: ResponseHead["framing"]["kind"], request: RequestHead): Outgoing {
  if (framing === "none" || framing === "length") return framing;
  return request.minorVersion === 1 ? "chunked" : "close";
}

function endToEnd(fields: readonly Field[], status: number): Field[] {
  const named = connectionOptions(fields);
  // RFC 9110 §8.6: these have no length, and a client that believed one would read the next answer as a body.
  const hasNoLength = status < 200 || status === 204;
  return fields.filter(
    ({ lowerName }) =>
      !HOP_BY_HOP.has(lowerName) &&
      // Whatever the service says of it: without its length the client would wait for more.
      (lowerName === "content-length" ? !hasNoLength : !named.has(lowerName) && lowerName !== "alt-svc"),
  );
}
