import type { Socket } from "node:net";
import { connectionOptions, field, getField, HOP_BY_HOP } from "../http1/fields.ts";
import type { BodyStep, Field, RequestHead, ResponseHead } from "../http1/messages.ts";
import { encodeChunk, encodeLastChunk, serialiseResponseHead } from "../http1/serialise.ts";
import type { Scrubber } from "../scrub/scrubber.ts";

/** How a response's body is framed towards the client. */
type Outgoing = "none" | "length" | "chunked" | "close";

// Bodies of these types are no text: they pass encoded as they are.
const BINARY =
  /^(?:image|audio|video|font)\/|^application\/(?:octet-stream|zip|gzip|x-gzip|zstd|x-tar|pdf|wasm|x-git-|vnd\.(?:oci|docker)\.image\.(?:layer|rootfs))/i;

/** Whether a body that is encoded in spite of the request may hide text that must be scrubbed. */
export function isOpaqueText({ fields, framing }: ResponseHead): boolean {
  const encoding =
    getField(fields, "content-encoding")?.toLowerCase() ?? (hasField(fields, "content-encoding") ? "?" : "");
  if (encoding === "" || encoding === "identity" || framing.kind === "none") return false;
  return !BINARY.test(getField(fields, "content-type") ?? "");
}

function hasField(fields: readonly Field[], lowerName: string): boolean {
  return fields.some((one) => one.lowerName === lowerName);
}

/** Writes one response to the client: head without hop-by-hop fields, body in the client's framing, scrubbed. */
export class ResponseWriter {
  readonly #client: Socket;
  readonly #scrubber: Scrubber;
  readonly #scrubsBody: boolean;
  #outgoing: Outgoing = "none";
  #bytes = 0;

  constructor(client: Socket, options: { readonly scrubber: Scrubber; readonly scrubsBody: boolean }) {
    this.#client = client;
    this.#scrubber = options.scrubber;
    this.#scrubsBody = options.scrubsBody && !options.scrubber.isIdle;
  }

  /** Body bytes written so far. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The client must see the connection close to know where the body ends. */
  get endsByClosing(): boolean {
    return this.#outgoing === "close";
  }

  /** Writes an interim or final head. `keepsOpen` says whether the client may send another request behind it. */
  head(head: ResponseHead, request: RequestHead, keepsOpen: boolean): void {
    const isInterim = head.status < 200;
    this.#outgoing = isInterim ? "none" : outgoingFraming(head, request);
    const fields = endToEnd(head.fields);
    if (this.#outgoing === "chunked") fields.push(field("Transfer-Encoding", "chunked"));
    if (head.status === 101) fields.push(field("Connection", "Upgrade"), field("Upgrade", request.upgrade ?? ""));
    else if (!isInterim && (!keepsOpen || this.#outgoing === "close")) fields.push(field("Connection", "close"));
    else if (!isInterim && request.minorVersion === 0) fields.push(field("Connection", "keep-alive"));
    const bytes = serialiseResponseHead({ status: head.status, reason: head.reason, fields });
    this.#client.write(
      this.#scrubber.isIdle ? bytes : Buffer.from(this.#scrubber.head(bytes.toString("latin1")), "latin1"),
    );
  }

  /** Writes what a body step gave. */
  body(step: BodyStep): void {
    for (const data of step.data) this.#write(this.#scrubsBody ? this.#scrubber.push(data) : data);
    if (step.state === "end") this.end(step.trailers);
  }

  /** Writes what is held back, and the end of the body. */
  end(trailers: readonly Field[]): void {
    if (this.#scrubsBody) this.#write(this.#scrubber.end());
    if (this.#outgoing === "chunked") {
      this.#client.write(Buffer.from(this.#scrubber.head(encodeLastChunk(trailers).toString("latin1")), "latin1"));
    }
  }

  #write(data: Buffer): void {
    if (data.length === 0 || this.#outgoing === "none") return;
    this.#bytes += data.length;
    if (this.#outgoing !== "chunked") this.#client.write(data);
    else for (const piece of encodeChunk(data)) this.#client.write(piece);
  }
}

function outgoingFraming({ framing }: ResponseHead, request: RequestHead): Outgoing {
  if (framing.kind === "none" || framing.kind === "length") return framing.kind;
  return request.minorVersion === 1 ? "chunked" : "close";
}

function endToEnd(fields: readonly Field[]): Field[] {
  const named = connectionOptions(fields);
  return fields.filter(
    ({ lowerName }) => !HOP_BY_HOP.has(lowerName) && !named.has(lowerName) && lowerName !== "alt-svc",
  );
}
