import { BodyReader } from "../../src/http1/body-reader.ts";
import type { Field, ResponseHead } from "../../src/http1/messages.ts";
import { ResponseHeadReader } from "../../src/http1/response-head-reader.ts";

const NOTHING = Buffer.alloc(0);

/** The answer to one request, as far as it was read when the connection ended. */
export interface ReadResponse {
  readonly interim: readonly number[];
  readonly head: ResponseHead | undefined;
  readonly body: string;
  readonly trailers: readonly Field[];
  /** `complete`, `truncated` or `refused: …`. */
  readonly state: string;
  /** Bytes behind the end of the response. */
  readonly rest: string;
}

/** Reads the answer to one request, interim ones first. */
export function readResponse(pieces: readonly Buffer[], method: string): ReadResponse {
  const reading = new Reading(method);
  for (const piece of pieces) {
    let bytes = piece;
    while (bytes.length > 0 && !reading.isRefused) bytes = reading.push(bytes);
  }
  return reading.result();
}

class Reading {
  readonly #method: string;
  readonly #heads = new ResponseHeadReader();
  readonly #interim: number[] = [];
  #head: ResponseHead | undefined;
  #reader: BodyReader | undefined;
  #body = "";
  #rest = "";
  #trailers: readonly Field[] = [];
  #state: string | undefined;

  constructor(method: string) {
    this.#method = method;
  }

  get isRefused(): boolean {
    return this.#state?.startsWith("refused") ?? false;
  }

  /** Takes bytes, and gives back those that are not read yet. */
  push(bytes: Buffer): Buffer {
    if (this.#state === "complete") {
      this.#rest += bytes.toString("latin1");
      return NOTHING;
    }
    return this.#reader === undefined ? this.#readHead(bytes) : this.#readBody(bytes, this.#reader);
  }

  result(): ReadResponse {
    const state = this.#state ?? this.#reader?.end() ?? "truncated";
    const [head, body, rest] = [this.#head, this.#body, this.#rest];
    return { interim: this.#interim, head, body, trailers: this.#trailers, state, rest };
  }

  #readHead(bytes: Buffer): Buffer {
    const result = this.#heads.push(bytes, { method: this.#method });
    if (result.kind === "refused") this.#state = `refused: ${result.why}`;
    if (result.kind !== "head") return NOTHING;
    if (result.head.status < 200) this.#interim.push(result.head.status);
    else {
      this.#head = result.head;
      this.#reader = new BodyReader(result.head.framing);
      if (result.head.framing.kind === "none") this.#state = "complete";
    }
    return result.rest;
  }

  #readBody(bytes: Buffer, reader: BodyReader): Buffer {
    const step = reader.push(bytes);
    for (const data of step.data) this.#body += data.toString("latin1");
    this.#trailers = step.trailers;
    if (step.state === "refused") this.#state = `refused: ${step.why ?? ""}`;
    if (step.state === "end") this.#state = "complete";
    return step.rest ?? NOTHING;
  }
}
