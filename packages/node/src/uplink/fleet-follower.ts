import type { MessageInitShape } from "@bufbuild/protobuf";
import { toProblem } from "@gatehouse/core";
import { type Log, type SignedBundle, sha256 } from "@gatehouse/kit";
import type { BundleHeaderSchema, Freshness, Reseal, Revocation } from "@gatehouse/wire";
import type { FleetCourier, FleetStatus } from "./fleet-courier.ts";
import type { NodeSession } from "./node-session.ts";

export interface FollowerDeps {
  readonly courier: FleetCourier;
  readonly session: () => NodeSession | undefined;
  readonly log: Log;
  /** A newer generation is served. */
  readonly onApplied: () => void;
}

/**
 * Keeps the node's state at what the server desires: each word of a newer generation leads to one fetch, however many
 * come meanwhile. What the key-holder refuses is logged, and what was served is served on until it is stale.
 */
export class FleetFollower {
  readonly #deps: FollowerDeps;
  /** Of what is served; the generations of a later one are counted anew. */
  #epoch = 0;
  #applied = 0;
  #wanted = 0;
  /** What was wanted at the last fetch: refused, or with the server away, it waits for the next word. */
  #tried = 0;
  #served: SignedBundle | undefined;
  #newest: Freshness | undefined;
  #isFollowing = false;
  #fault: string | undefined;
  #refused: FleetStatus["refused"] = [];

  constructor(deps: FollowerDeps) {
    this.#deps = deps;
  }

  /** The generation that is served; 0 before the first. */
  get generation(): number {
    return this.#applied;
  }

  /** Why the newest bundle is not served; `undefined`: it is, or none came. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** Credentials of the bundle that is served which are not. */
  get refused(): FleetStatus["refused"] {
    return this.#refused;
  }

  /** Whether all of the newest bundle that came is served. */
  get isWhole(): boolean {
    return this.#fault === undefined && this.#refused.length === 0;
  }

  /** Of the bundle that was applied last; 0 before the first. */
  get servedEpoch(): number {
    return this.#served?.epoch ?? 0;
  }

  /** The bundle that was applied last, without its parts. */
  get header(): MessageInitShape<typeof BundleHeaderSchema> | undefined {
    if (this.#served === undefined) return undefined;
    const { epoch, generation, issuedAt, manifest, keyId, signature } = this.#served;
    const counted = { epoch: BigInt(epoch), generation: BigInt(generation), issuedAt: BigInt(issuedAt) };
    return { ...counted, manifestSha256: sha256(manifest), keyId, signature };
  }

  /**
   * Reads what the key-holder serves: after a start of the daemon, or of the gate. What an earlier epoch than the newest
   * counted says nothing to a server that counts anew: it would not tell what it takes back until its own count is
   * there.
   */
  async begin(newestEpoch: number): Promise<void> {
    const { bundle, refused } = await this.#deps.courier.status();
    this.#refused = refused;
    this.#served = bundle;
    this.#epoch = bundle?.epoch ?? 0;
    this.#applied = bundle?.generation ?? 0;
    if (newestEpoch > this.#epoch) this.#beginEpoch(newestEpoch);
  }

  /** The server says which generation it desires. */
  want(generation: number): void {
    this.#wanted = Math.max(this.#wanted, generation);
    this.#follow();
  }

  /** The server says, signed, which generation is the newest now. */
  hear(freshness: Freshness | undefined): void {
    if (freshness === undefined) return;
    this.#newest = freshness;
    if (Number(freshness.epoch) > this.#epoch) this.#beginEpoch(Number(freshness.epoch));
    this.want(Number(freshness.generation));
  }

  /** Out of every run, and durable, when it returns. */
  async revoke(revocation: Revocation): Promise<void> {
    await this.#try("revocation refused", () => this.#deps.courier.revoke(revocation));
    this.want(Number(revocation.generation));
  }

  /** Parts of a credential for further nodes. Fails as the key-holder refuses. */
  reseal(order: Reseal, nowMs: number): Promise<string> {
    return this.#deps.courier.reseal(order, nowMs);
  }

  /** Fetches and serves what is desired now, whatever is served. Fails as the key-holder refuses. */
  async refresh(): Promise<void> {
    const session = this.#deps.session();
    if (session === undefined) return;
    const { bundle, refused } = await this.#deps.courier.refresh(session.gateway).catch((failure: unknown) => {
      this.#fault = toProblem(failure).message;
      throw failure;
    });
    this.#fault = undefined;
    this.#refused = refused;
    this.#served = bundle ?? this.#served;
    this.#epoch = bundle?.epoch ?? this.#epoch;
    this.#applied = bundle?.generation ?? this.#applied;
    this.#deps.onApplied();
  }

  /** A restored server may be at an earlier generation than the one that is served: nothing of it is served yet. */
  #beginEpoch(epoch: number): void {
    this.#epoch = epoch;
    this.#applied = 0;
    this.#wanted = 0;
    this.#tried = 0;
  }

  #follow(): void {
    if (this.#isFollowing) return;
    this.#isFollowing = true;
    this.#tried = 0;
    void this.#catchUp();
  }

  /** Ends when no word is left: those that come while one is carried are followed too. */
  async #catchUp(): Promise<void> {
    while (this.#isBehind || this.#newest !== undefined) {
      if (this.#isBehind) {
        this.#tried = this.#wanted;
        await this.#try("bundle refused", () => this.refresh());
        continue;
      }
      const freshness = this.#newest;
      this.#newest = undefined;
      if (freshness !== undefined) await this.#try("freshness refused", () => this.#deps.courier.hear(freshness));
    }
    this.#isFollowing = false;
  }

  get #isBehind(): boolean {
    return this.#wanted > Math.max(this.#applied, this.#tried);
  }

  async #try(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (failure) {
      const { code, detail = "" } = toProblem(failure);
      this.#deps.log.warn(what, { code, detail });
    }
  }
}
