import { generateKeyPairSync } from "node:crypto";
import { createSecureContext, type SecureContext } from "node:tls";
import type { HolderCalls } from "../snapshot/worker-protocol.ts";
import { type Asked, FairCalls } from "../worker/fair-calls.ts";

type MintCall = HolderCalls["mintLeaf"];
/** Signs a leaf over this process's public key; the key-holder's part. */
export type MintLeaf = (request: MintCall["params"]) => Promise<MintCall["result"]>;

interface Leaf {
  readonly context: SecureContext;
  readonly renewAt: number;
}

/** How many are kept, of all runs and of one. Each holds some 50 KiB. */
export interface LeafLimits {
  readonly all: number;
  readonly ofRun: number;
}

const LIMITS: LeafLimits = { all: 4_096, ofRun: 1_024 };
/** Signed at once; one run gets half of them. */
const MAX_MINTS = 4;
/** A leaf this close to its end is minted anew. */
const RENEW_BEFORE_MS = 3_600_000;
const NOTHING = () => undefined;

/**
 * TLS contexts for intercepted names: one key per process, minted on first use, single-flight, least recently used out.
 * A leaf belongs to one run of those that use it, to which of them has fewest: a run that asks for names without end
 * pushes out its own.
 */
export class LeafContexts {
  readonly #mint: MintLeaf;
  readonly #caCertificatePem: string;
  readonly #now: () => number;
  readonly #privateKeyPem: string;
  readonly #publicKey: Uint8Array;
  readonly #limits: LeafLimits;
  readonly #mints: FairCalls<Leaf>;
  /** Least recently used first. */
  readonly #held = new Map<string, { readonly leaf: Leaf; owner: string }>();
  readonly #owned = new Map<string, number>();

  constructor(
    deps: { readonly mint: MintLeaf; readonly caCertificatePem: string; readonly now: () => number },
    limits: LeafLimits = LIMITS,
  ) {
    this.#limits = limits;
    this.#mint = deps.mint;
    this.#caCertificatePem = deps.caCertificatePem;
    this.#now = deps.now;
    const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
    this.#publicKey = publicKey.export({ type: "spki", format: "der" });
    this.#mints = new FairCalls((host) => this.#mintLeaf(host), MAX_MINTS);
  }

  /** The context for a normalised host, for a run. A failed mint is not kept. */
  ask(host: string, runId: string): Asked<SecureContext> {
    const held = this.#held.get(host);
    if (held !== undefined && held.leaf.renewAt > this.#now()) {
      this.#hold(host, held.leaf, runId);
      return { found: Promise.resolve(held.leaf.context), [Symbol.dispose]: NOTHING };
    }
    const asked = this.#mints.ask(runId, host);
    const found = asked.found.then((leaf) => {
      this.#hold(host, leaf, runId);
      return leaf.context;
    });
    return { found, [Symbol.dispose]: () => asked[Symbol.dispose]() };
  }

  async #mintLeaf(host: string): Promise<Leaf> {
    const { certificatePem, notAfter, ticketKeys, ticketsUntil } = await this.#mint({
      name: host,
      publicKey: this.#publicKey,
    });
    const context = createSecureContext({
      key: this.#privateKeyPem,
      cert: `${certificatePem.trimEnd()}\n${this.#caCertificatePem}`,
      ticketKeys: Buffer.from(ticketKeys),
      minVersion: "TLSv1.2",
    });
    return { context, renewAt: Math.min(notAfter - RENEW_BEFORE_MS, ticketsUntil) };
  }

  /** Keeps it as the one that was used last. */
  #hold(host: string, leaf: Leaf, runId: string): void {
    const before = this.#held.get(host)?.owner;
    const owner = before !== undefined && this.#ownedBy(before) <= this.#ownedBy(runId) ? before : runId;
    this.#forget(host);
    this.#held.set(host, { leaf, owner });
    this.#owned.set(owner, this.#ownedBy(owner) + 1);
    if (this.#ownedBy(owner) > this.#limits.ofRun) this.#forgetOldestOf(owner);
    else if (this.#held.size > this.#limits.all) this.#forgetOldestOf(this.#largestOwner());
  }

  #ownedBy(runId: string): number {
    return this.#owned.get(runId) ?? 0;
  }

  #largestOwner(): string {
    let largest = "";
    for (const runId of this.#owned.keys()) if (this.#ownedBy(runId) > this.#ownedBy(largest)) largest = runId;
    return largest;
  }

  #forgetOldestOf(runId: string): void {
    for (const [host, { owner }] of this.#held) {
      if (owner !== runId) continue;
      this.#forget(host);
      return;
    }
  }

  #forget(host: string): void {
    const owner = this.#held.get(host)?.owner;
    if (owner === undefined) return;
    this.#held.delete(host);
    const left = this.#ownedBy(owner) - 1;
    if (left === 0) this.#owned.delete(owner);
    else this.#owned.set(owner, left);
  }
}
