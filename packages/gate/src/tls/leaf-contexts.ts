import { generateKeyPairSync } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import type { HolderCalls } from "../snapshot/worker-protocol.ts";

type MintCall = HolderCalls["mintLeaf"];
/** Signs a leaf over this process's public key; the key-holder's part. */
export type MintLeaf = (request: MintCall["params"]) => Promise<MintCall["result"]>;

interface Held {
  readonly context: Promise<SecureContext>;
  notAfter: number;
}

const MAX_LEAVES = 4_096;
/** A leaf this close to its end is minted anew. */
const RENEW_BEFORE_MS = 3_600_000;

/** TLS contexts for intercepted names: one key per process, minted on first use, single-flight, least recently used out. */
export class LeafContexts {
  readonly #mint: MintLeaf;
  readonly #caCertificatePem: string;
  readonly #now: () => number;
  readonly #privateKeyPem: string;
  readonly #publicKey: Uint8Array;
  readonly #held = new Map<string, Held>();

  constructor(deps: { readonly mint: MintLeaf; readonly caCertificatePem: string; readonly now: () => number }) {
    this.#mint = deps.mint;
    this.#caCertificatePem = deps.caCertificatePem;
    this.#now = deps.now;
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    this.#publicKey = publicKey.export({ type: "spki", format: "der" });
  }

  /** The context for a normalised host. A failed mint is not kept. */
  contextFor(host: string): Promise<SecureContext> {
    const held = this.#held.get(host);
    this.#held.delete(host);
    const fresh = held !== undefined && held.notAfter - RENEW_BEFORE_MS > this.#now() ? held : this.#mintContext(host);
    this.#held.set(host, fresh);
    if (this.#held.size > MAX_LEAVES) this.#held.delete(this.#held.keys().next().value ?? "");
    return fresh.context;
  }

  #mintContext(host: string): Held {
    const minted = this.#mint({ name: host, publicKey: this.#publicKey });
    const context = minted.then(({ certificatePem, notAfter, ticketKeys }) => {
      held.notAfter = notAfter;
      return createSecureContext({
        key: this.#privateKeyPem,
        cert: `${certificatePem.trimEnd()}\n${this.#caCertificatePem}`,
        ticketKeys: Buffer.from(ticketKeys),
        minVersion: "TLSv1.2",
      });
    });
    const held: Held = { context, notAfter: Number.POSITIVE_INFINITY };
    context.catch(() => {
      if (this.#held.get(host) === held) this.#held.delete(host);
    });
    return held;
  }
}
