import type { HeadResult, RequestHead } from "../http1/messages.ts";
import { RequestHeadReader } from "../http1/request-head-reader.ts";
import type { Refusal } from "../pipeline/request-context.ts";
import type { Share } from "./fair-shares.ts";

type ClientHead =
  | Exclude<HeadResult<RequestHead>, { readonly kind: "refused" }>
  | { readonly kind: "refused"; readonly refusal: Refusal };

/** Reads the heads of one client; what it keeps of one that is not whole counts towards a share. */
export class ClientHeads implements Disposable {
  readonly #reader = new RequestHeadReader();
  readonly #share: Share;

  constructor(share: Share) {
    this.#share = share;
  }

  /** No byte of a next head was seen. */
  get isEmpty(): boolean {
    return this.#reader.isEmpty;
  }

  push(chunk: Buffer): ClientHead {
    const result = this.#reader.push(chunk);
    if (result.kind === "more" && !this.#share.resize(this.#reader.heldBytes)) {
      this[Symbol.dispose]();
      return refused({ code: "gate.overloaded", detail: "Too many requests wait for the rest of their heads." });
    }
    if (result.kind === "more") return result;
    this.#share[Symbol.dispose]();
    if (result.kind === "head") return result;
    return refused({ code: "gate.ambiguous_request", detail: `The request is refused: ${result.why}.` });
  }

  [Symbol.dispose](): void {
    this.#reader.reset();
    this.#share[Symbol.dispose]();
  }
}

function refused(refusal: Refusal): ClientHead {
  return { kind: "refused", refusal };
}
