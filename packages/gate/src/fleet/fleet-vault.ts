import { isDeepStrictEqual } from "node:util";
import { type NetworkPolicyInput, Problem, type Secret, toProblem } from "@gatehouse/core";
import {
  type BundleTrust,
  checkReseal,
  isRevocationOf,
  PartFolder,
  type RefusedCredential,
  readManifest,
  readTrust,
  type SignedBundle,
  type SignedReseal,
  type SignedRevocation,
  sealPart,
  type VerifiedBundle,
  verifyBundle,
  withNewer,
} from "@gatehouse/kit";
import type { CredentialInfo } from "../credentials/credential-store.ts";
import { agreeWith, type NodeKey } from "../credentials/node-key.ts";
import { open } from "../credentials/seal.ts";
import type { Template } from "../credentials/templates.ts";
import { Turns } from "../registry/turns.ts";
import { type FleetState, NO_STATE, readFleetState, writeFleetState } from "./fleet-file.ts";
import { type FleetEntry, noteSeen, type OpenedBundle, openBundle } from "./open-bundle.ts";

export interface FleetVaultDeps {
  readonly stateDir: string;
  readonly key: NodeKey;
  readonly templates: ReadonlyMap<string, Template>;
}

/** Names of grants whose runs must be told. */
export interface FleetChange {
  readonly changed: readonly string[];
  readonly gone: readonly string[];
  /** The organisation's policies changed: every run is concerned. */
  readonly isWider: boolean;
}

const NOTHING: OpenedBundle = { entries: new Map(), taken: [], refused: [] };

/**
 * The organisation's credentials on this node, under what the host holds against its server: nothing is opened that was
 * not verified, a bundle is served whole but for credentials that are refused alone, or not at all, and what was taken
 * back never again, whatever the server says.
 */
export class FleetVault {
  readonly #deps: FleetVaultDeps;
  readonly #turns = new Turns();
  #state: FleetState = NO_STATE;
  /** Why what this node remembers of versions and revocations is not known. */
  #unread: Problem | undefined;
  #entries = NOTHING.entries;
  #refused = NOTHING.refused;
  #bundle: VerifiedBundle | undefined;
  #fault: string | undefined;

  private constructor(deps: FleetVaultDeps) {
    this.#deps = deps;
  }

  /** Reads what was served, and verifies it again. What does not hold any more takes no part; `fault` says why. */
  static async open(deps: FleetVaultDeps): Promise<FleetVault> {
    const vault = new FleetVault(deps);
    try {
      await vault.#restore();
    } catch (failure) {
      vault.#fault = toProblem(failure).message;
    }
    return vault;
  }

  /** Why the stored bundle is not served. */
  get fault(): string | undefined {
    return this.#fault;
  }

  /** The bundle that is served; `undefined`: none yet. */
  get bundle(): VerifiedBundle | undefined {
    return this.#bundle;
  }

  /** Credentials of that bundle which are not served. */
  get refused(): readonly RefusedCredential[] {
    return this.#refused;
  }

  /** The organisation's policies: what one of them does not allow, no run may do. */
  get ceilings(): readonly NetworkPolicyInput[] {
    return (this.#bundle?.policies ?? []).map(({ document }) => JSON.parse(document) as NetworkPolicyInput);
  }

  get(name: string): CredentialInfo | undefined {
    const entry = this.#entries.get(name);
    if (entry === undefined || this.#bundle === undefined) return undefined;
    const { id, version, service, bindings } = entry;
    const { issuedAt } = this.#bundle.signed;
    return { id, name: entry.name, version, service, bindings, createdAt: issuedAt, origin: "organisation" };
  }

  list(): readonly CredentialInfo[] {
    return [...this.#entries.keys()].flatMap((name) => this.get(name) ?? []);
  }

  /** The plaintext. Fails with `grants.not_found`. */
  async reveal(name: string): Promise<Secret> {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new Problem("grants.not_found", { detail: `${name} is unknown.` });
    return open(this.#deps.key, entry.jwe, entry.aad);
  }

  /**
   * Serves a bundle in place of the one before: verified and opened first, on disk before it counts. Fails, and leaves
   * everything as it was, with what `verifyBundle` and `openBundle` fail with, `state.write_failed`, or what the memory
   * of this node could not be read with: without it, an older version or one that was taken back would look new.
   */
  apply(signed: SignedBundle): Promise<FleetChange> {
    return this.#turns.take("", async () => {
      if (this.#unread !== undefined) throw this.#unread;
      const trust = await this.#requireTrust();
      const { bundle: before } = this.#state;
      if (before !== undefined && isOlder(signed, before)) {
        throw new Problem("bundle.refused", { detail: "It is older than the one that is served." });
      }
      const parts = new PartFolder(this.#deps.stateDir);
      const verified = verifyBundle(signed, await parts.held(), trust);
      const { entries, taken, refused } = await openBundle(verified, this.#state, {
        ...this.#deps,
        orgId: trust.orgId,
      });
      const state = { ...this.#state, bundle: signed, ...noteSeen(taken, this.#state) };
      await writeFleetState(this.#deps.stateDir, state);
      const isWider = !isDeepStrictEqual(this.#bundle?.policies ?? [], verified.policies);
      const change = { ...compare(this.#entries, entries), isWider };
      this.#state = state;
      this.#bundle = verified;
      this.#entries = entries;
      this.#refused = refused;
      this.#fault = undefined;
      await parts.prune(new Set(readManifest(signed.manifest).map(({ sha256 }) => sha256)));
      return change;
    });
  }

  /**
   * Lets go of credentials: `onGone` is called when they are out of memory, before anything is written; durable when it
   * returns. Fails with `bundle.refused` when the server's bundle key did not sign it, or as `apply` does when memory
   * could not be read: nothing is served then.
   */
  revoke(revocation: SignedRevocation, onGone: (change: FleetChange) => Promise<void>): Promise<void> {
    return this.#turns.take("", async () => {
      if (this.#unread !== undefined) throw this.#unread;
      const trust = await this.#requireTrust();
      if (!isRevocationOf(trust, revocation)) {
        throw new Problem("bundle.refused", { detail: "The revocation is not signed by the bundle key." });
      }
      const revoked = new Set([...this.#state.revoked, ...revocation.ids]);
      const left = new Map([...this.#entries].filter(([, { id }]) => !revoked.has(id)));
      const change = compare(this.#entries, left);
      this.#entries = left;
      this.#refused = this.#refused.filter(({ credentialId }) => !revoked.has(credentialId));
      this.#state = { ...this.#state, revoked };
      await Promise.all([onGone(change), writeFleetState(this.#deps.stateDir, this.#state)]);
    });
  }

  /**
   * Seals a credential to further nodes, as an operator ordered: their parts of it, to be joined to it where all of it
   * is. What is inside is not opened. Fails with `credentials.refused`, `grants.not_found`.
   */
  reseal(order: SignedReseal, nowMs: number): Promise<string> {
    return this.#turns.take("", async () => {
      checkReseal(order, await this.#requireTrust(), nowMs);
      const entry = [...this.#entries.values()].find(({ id }) => id === order.credentialId);
      if (entry === undefined) throw new Problem("grants.not_found", { detail: "This node cannot open it." });
      // An order that the server kept back would hand the next value to whom the last one was for.
      if (entry.version !== order.version) {
        throw new Problem("credentials.refused", { detail: "The order is of another version of it." });
      }
      return sealPart(entry.jwe, (publicKey) => agreeWith(this.#deps.key, publicKey), order.recipients);
    });
  }

  /** What the host holds against its server, by the newest that it took, from a bundle or elsewhere. `undefined`: nothing. */
  async trust(): Promise<BundleTrust | undefined> {
    const trust = await readTrust(this.#deps.stateDir);
    if (trust === undefined || this.#bundle === undefined) return trust;
    return withNewer(trust, this.#bundle);
  }

  async #requireTrust(): Promise<BundleTrust> {
    const trust = await this.trust();
    if (trust === undefined) throw new Problem("enroll.not_enrolled");
    return trust;
  }

  async #restore(): Promise<void> {
    const { stateDir } = this.#deps;
    const trust = await readTrust(stateDir);
    if (trust === undefined) return;
    try {
      this.#state = await readFleetState(stateDir);
    } catch (failure) {
      this.#unread = toProblem(failure);
      throw this.#unread;
    }
    const { bundle } = this.#state;
    if (bundle === undefined) return;
    const verified = verifyBundle(bundle, await new PartFolder(stateDir).held(), trust);
    const { entries, refused } = await openBundle(verified, this.#state, { ...this.#deps, orgId: trust.orgId });
    this.#entries = entries;
    this.#refused = refused;
    this.#bundle = verified;
  }
}

function isOlder(a: SignedBundle, b: SignedBundle): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.generation < b.generation);
}

function compare(before: ReadonlyMap<string, FleetEntry>, after: ReadonlyMap<string, FleetEntry>): FleetChange {
  const isSame = (name: string) => {
    const [old, next] = [before.get(name), after.get(name)];
    return old?.id === next?.id && old?.version === next?.version;
  };
  return {
    changed: [...after.keys()].filter((name) => before.has(name) && !isSame(name)),
    gone: [...before.keys()].filter((name) => !after.has(name)),
    isWider: false,
  };
}
