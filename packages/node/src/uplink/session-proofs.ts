import type { Interceptor } from "@connectrpc/connect";
import type { Secret } from "@gatehouse/core";
import { makeProof, NONCE_HEADER, ServerProblem, type SigningKey } from "@gatehouse/kit";

/** Proves each call of a session to be this node's (RFC 9449). Calls before `begin` go as they are; nonces are taken. */
export class SessionProofs {
  readonly #origin: string;
  readonly #key: SigningKey;
  #token: Secret | undefined;
  #expiresAt = 0;
  #nonce = "";

  constructor(origin: string, { identity }: { readonly identity: SigningKey }) {
    this.#origin = origin;
    this.#key = identity;
  }

  /** From here on calls are made in the session of this token, which ends then. */
  begin(token: Secret, expiresAt: number): void {
    this.#token = token;
    this.#expiresAt = expiresAt;
  }

  /** When the session ends unless it is renewed: Unix milliseconds of the server; 0 before it began. */
  get expiresAt(): number {
    return this.#expiresAt;
  }

  /** Takes the nonce that the server gave with something else than an answer. */
  useNonce(nonce: string): void {
    if (nonce !== "") this.#nonce = nonce;
  }

  /** A proof for one call, and the token that it goes with. */
  prove(url: string): { readonly token: string; readonly proof: string } | undefined {
    const token = this.#token?.reveal();
    if (token === undefined) return undefined;
    return { token, proof: makeProof({ key: this.#key, token, url, nonce: this.#nonce, nowMs: Date.now() }) };
  }

  /** A nonce that went stale is replaced once. What a caller streams can be sent by the caller alone: see `sendStream`. */
  readonly interceptor: Interceptor = (next) => async (request) => {
    const send = async () => {
      const made = this.prove(`${this.#origin}/${request.service.typeName}/${request.method.name}`);
      if (made !== undefined) {
        request.header.set("Authorization", `DPoP ${made.token}`);
        request.header.set("DPoP", made.proof);
      }
      const response = await next(request);
      this.useNonce(response.header.get(NONCE_HEADER) ?? "");
      return response.stream ? { ...response, message: this.#listenTo(response.message) } : response;
    };
    try {
      return await send();
    } catch (failure) {
      if (!(failure instanceof ServerProblem) || failure.code !== "auth.stale_nonce") throw failure;
      this.useNonce(failure.nonce);
      return send();
    }
  };

  /** A stream is refused after its call was answered: the nonce that comes along is for the next attempt. */
  async *#listenTo<T>(messages: AsyncIterable<T>): AsyncGenerator<T> {
    try {
      yield* messages;
    } catch (failure) {
      if (failure instanceof ServerProblem) this.useNonce(failure.nonce);
      throw failure;
    }
  }
}
