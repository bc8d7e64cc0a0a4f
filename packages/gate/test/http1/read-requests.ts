import { BodyReader } from "../../src/http1/body-reader.ts";
import type { Field, RequestHead } from "../../src/http1/messages.ts";
import { RequestHeadReader } from "../../src/http1/request-head-reader.ts";

/** One request, as far as it was read. */
export interface ReadRequest {
  readonly head: RequestHead;
  body: string;
  trailers: readonly Field[];
  isWhole: boolean;
}

/** The requests of a connection, and where it stood when its bytes were used up. */
export interface ReadStream {
  readonly requests: readonly ReadRequest[];
  /** `between`: no request is half read. `refused: …`; `closed` or `switching` behind a request that ends it. */
  readonly state: string;
}

/** Reads a connection the way the gate does: head, body, next head. */
export function readRequests(pieces: readonly Buffer[]): ReadStream {
  const reader = new RequestConnection();
  for (const piece of pieces) reader.push(piece);
  return { requests: reader.requests, state: reader.state };
}

class RequestConnection {
  readonly requests: ReadRequest[] = [];
  readonly #heads = new RequestHeadReader();
  #current: { readonly request: ReadRequest; readonly body: BodyReader } | undefined;
  #end: string | undefined;

  get state(): string {
    if (this.#end !== undefined) return this.#end;
    if (this.#current !== undefined) return "in a body";
    return this.#heads.isEmpty ? "between" : "in a head";
  }

  push(piece: Buffer): void {
    let rest: Buffer | undefined = piece;
    while (rest !== undefined && rest.length > 0 && this.#end === undefined) {
      rest = this.#current === undefined ? this.#readHead(rest) : this.#readBody(rest);
    }
  }

  #readHead(bytes: Buffer): Buffer | undefined {
    const result = this.#heads.push(bytes);
    if (result.kind === "more") return undefined;
    if (result.kind === "refused") {
      this.#end = `refused: ${result.why}`;
      return undefined;
    }
    const { head } = result;
    const request: ReadRequest = { head, body: "", trailers: [], isWhole: head.framing.kind === "none" };
    this.requests.push(request);
    if (request.isWhole) this.#finish(request);
    else this.#current = { request, body: new BodyReader(head.framing) };
    return result.rest;
  }

  #readBody(bytes: Buffer): Buffer | undefined {
    if (this.#current === undefined) return undefined;
    const { request, body } = this.#current;
    const step = body.push(bytes);
    for (const data of step.data) request.body += data.toString("latin1");
    if (step.state === "refused") this.#end = `refused: ${step.why ?? ""}`;
    if (step.state !== "end") return undefined;
    request.trailers = step.trailers;
    request.isWhole = true;
    this.#current = undefined;
    this.#finish(request);
    return step.rest;
  }

  #finish({ head }: ReadRequest): void {
    // What follows a CONNECT or an upgrade is framed by what the other side answers.
    if (head.method === "CONNECT" || head.upgrade !== undefined) this.#end = "switching";
    else if (!head.isPersistent) this.#end = "closed";
  }
}

/** Cuts bytes at the given places. */
export function cutAt(bytes: Buffer, places: readonly number[]): Buffer[] {
  const cuts = [0, ...[...places].sort((a, b) => a - b), bytes.length];
  return cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
}

/** Each byte on its own. */
export function cutEverywhere(bytes: Buffer): Buffer[] {
  return Array.from({ length: bytes.length }, (_, at) => bytes.subarray(at, at + 1));
}
