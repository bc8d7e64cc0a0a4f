import { createHmac } from "node:crypto";
import type { Clock, Random } from "@gatehouse/core";
import { type CertificateAuthority, mintServerLeaf } from "@gatehouse/kit";
import type { HolderCalls } from "../snapshot/worker-protocol.ts";

const LEAF_TTL_MS = 72 * 3_600_000;
const TICKET_SECRET_BYTES = 32;
/** As long as one secret makes keys for tickets. */
const TICKET_SECRET_LIFE_MS = 24 * 3_600_000;
/** Name, HMAC and AES, 16 bytes each, as OpenSSL takes them. */
const TICKET_KEYS_BYTES = 48;

/**
 * What a worker needs to answer for a name: a leaf over its own key, and ticket keys that every worker gets alike, so
 * that a client resumes its session at whichever it meets. They are the name's own: a ticket opens no other host.
 */
export class LeafMint {
  readonly #deps: { readonly ca: CertificateAuthority; readonly clock: Clock; readonly random: Random };
  #secret: Uint8Array | undefined;
  #secretUntilMs = 0;

  constructor(deps: { readonly ca: CertificateAuthority; readonly clock: Clock; readonly random: Random }) {
    this.#deps = deps;
  }

  async mint({ name, publicKey }: HolderCalls["mintLeaf"]["params"]): Promise<HolderCalls["mintLeaf"]["result"]> {
    const { ca, clock } = this.#deps;
    const secret = this.#ticketSecret();
    return {
      certificatePem: await mintServerLeaf({ ca, name, publicKey, ttlMs: LEAF_TTL_MS }),
      notAfter: clock.now() + LEAF_TTL_MS,
      ticketKeys: createHmac("sha512", secret).update(name).digest().subarray(0, TICKET_KEYS_BYTES),
      ticketsUntil: clock.now() + this.#secretUntilMs - clock.monotonicMs(),
    };
  }

  #ticketSecret(): Uint8Array {
    const nowMs = this.#deps.clock.monotonicMs();
    if (this.#secret === undefined || nowMs >= this.#secretUntilMs) {
      this.#secret = this.#deps.random.bytes(TICKET_SECRET_BYTES);
      this.#secretUntilMs = nowMs + TICKET_SECRET_LIFE_MS;
    }
    return this.#secret;
  }
}
