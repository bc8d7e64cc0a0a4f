import { randomBytes } from "node:crypto";
import { type Clock, compilePolicy, Problem, type RunId } from "@gatehouse/core";
import type { NodeKey } from "../credentials/node-key.ts";
import { buildSnapshot, type SnapshotDeps, sealInlineValues } from "../holder/build-snapshot.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import { hashToken } from "../worker/identify-run.ts";
import type { Registration } from "./parse-registration.ts";
import type { InlineValues, RegisteredRun } from "./registered-run.ts";
import { readRuns } from "./runs-file.ts";
import { RunsWriter } from "./runs-writer.ts";
import { Tombstones } from "./tombstones.ts";

/** Tells every worker; resolves when each has followed. */
export interface RunPublisher {
  put(run: RunSnapshot): Promise<void>;
  drop(runId: RunId): Promise<void>;
}

export interface RegistryDeps extends SnapshotDeps {
  readonly clock: Clock;
  readonly stateDir: string;
  readonly publisher: RunPublisher;
  readonly key: NodeKey;
}

/** A run to add: everything but what the registry makes itself. */
export interface NewRun {
  readonly run: Omit<RegisteredRun, "tokenHash" | "registeredAt" | "sealedValues">;
  readonly values: InlineValues;
  /** Only a registration under a token that the caller kept; absent makes a new one. */
  readonly token?: string | undefined;
}

/**
 * The runs that the gate serves. A token answers only when its run is complete, durable and known to every worker; a
 * run that ends is gone from all of them before the end is answered.
 */
export class RunRegistry {
  readonly #deps: RegistryDeps;
  readonly #runs = new Map<string, RegisteredRun>();
  readonly #byTokenHash = new Map<string, RegisteredRun>();
  readonly #snapshots = new Map<string, RunSnapshot>();
  readonly #tombstones: Tombstones;
  readonly #writer: RunsWriter;
  readonly #busy = new Set<string>();
  #refused: readonly { readonly runId: string; readonly reason: string }[] = [];

  private constructor(deps: RegistryDeps, tombstones: Tombstones, proxyPort: number) {
    this.#deps = deps;
    this.#tombstones = tombstones;
    this.#writer = new RunsWriter(deps.stateDir, () => [...this.#runs.values()], proxyPort);
  }

  /** Restores what was registered. A run whose grants or policy cannot be had in full is refused, not weakened. */
  static async open(deps: RegistryDeps): Promise<RunRegistry> {
    const now = () => deps.clock.now();
    const stored = await readRuns(deps.stateDir, now);
    const registry = new RunRegistry(deps, await Tombstones.open(deps.stateDir, now), stored.proxyPort);
    const refused = [...stored.refused];
    for (const run of stored.runs) {
      // Ended, but the list without it could not be written any more.
      if (registry.#tombstones.has(run.runId, run.tokenHash)) continue;
      try {
        compilePolicy(run.policy);
        registry.#insert(run, await buildSnapshot(run, deps));
      } catch (failure) {
        refused.push({
          runId: run.runId,
          reason: failure instanceof Problem ? failure.message : "it cannot be restored",
        });
      }
    }
    registry.#refused = refused;
    return registry;
  }

  /** Port that the shared listener had; a restart asks for it again, so that registered clients find it. */
  get proxyPort(): number {
    return this.#writer.proxyPort;
  }

  async setProxyPort(port: number): Promise<void> {
    if (this.#writer.proxyPort !== port) await this.#writer.setProxyPort(port);
  }

  get refused(): readonly { readonly runId: string; readonly reason: string }[] {
    return this.#refused;
  }

  get size(): number {
    return this.#runs.size;
  }

  list(): readonly RegisteredRun[] {
    return [...this.#runs.values()];
  }

  snapshots(): readonly RunSnapshot[] {
    return [...this.#snapshots.values()];
  }

  get(runId: string): RegisteredRun | undefined {
    return this.#runs.get(runId);
  }

  findByToken(token: string): RegisteredRun | undefined {
    return this.#byTokenHash.get(hashToken(token));
  }

  /** `POST /v1/runs`: registers, or registers anew under the run's own token. */
  async register(registration: Registration): Promise<string> {
    const { runId, token } = registration;
    const known = this.#runs.get(runId);
    const hash = token === undefined ? undefined : hashToken(token);
    if (hash !== undefined && this.#tombstones.has(runId, hash) && known === undefined)
      throw new Problem("runs.token_revoked");
    const holder = hash === undefined ? undefined : this.#byTokenHash.get(hash);
    if (holder !== undefined && holder.runId !== runId) throw new Problem("runs.token_conflict");
    if (known !== undefined && (hash === undefined || known.tokenHash !== hash)) throw new Problem("runs.id_taken");
    if (known?.place.kind === "sandbox") throw new Problem("runs.id_taken");
    return this.add({
      token,
      values: { credentials: registration.credentials, extraHeaders: registration.extraHeaders },
      run: {
        runId,
        containerId: known?.containerId,
        agent: undefined,
        project: undefined,
        place: { kind: "shared" },
        isExposed: false,
        grants: registration.grants,
        placeholders: {},
        policy: registration.policy,
        removeHeaders: registration.removeHeaders,
      },
    });
  }

  /** Adds or replaces a run and returns its token. Nothing is kept when any step fails. */
  async add({ run, values, token }: NewRun): Promise<string> {
    return this.#exclusively(run.runId, async () => {
      compilePolicy(run.policy);
      const given = token ?? randomBytes(32).toString("hex");
      const registered: RegisteredRun = {
        ...run,
        tokenHash: hashToken(given),
        registeredAt: this.#deps.clock.now(),
        sealedValues: await sealInlineValues(run.runId, values, this.#deps.key),
      };
      const snapshot = await buildSnapshot(registered, this.#deps);
      this.#requireGrants(registered, values);
      const before = this.#runs.get(run.runId);
      const snapshotBefore = this.#snapshots.get(run.runId);
      this.#insert(registered, snapshot);
      try {
        await this.#writer.write();
      } catch (failure) {
        this.#remove(registered);
        if (before !== undefined && snapshotBefore !== undefined) this.#insert(before, snapshotBefore);
        throw failure;
      }
      // While it was written a grant may have been withdrawn, or the run ended: what holds now is what is served.
      const current = this.#snapshots.get(run.runId);
      if (current === undefined) throw new Problem("runs.token_revoked");
      await this.#deps.publisher.put(current);
      return given;
    });
  }

  /** Notes the container of a run. Fails with `runs.not_found`. */
  async setContainer(token: string, containerId: string): Promise<void> {
    const run = this.findByToken(token);
    if (run === undefined) throw new Problem("runs.not_found");
    const changed = { ...run, containerId };
    this.#runs.set(run.runId, changed);
    this.#byTokenHash.set(run.tokenHash, changed);
    await this.#writer.write();
  }

  /** Ends a run: out of the workers first, then durable. Unknown ids are nothing to end. */
  async end(runId: string): Promise<void> {
    const run = this.#runs.get(runId);
    if (run === undefined) return;
    this.#remove(run);
    await this.#deps.publisher.drop(run.runId);
    await this.#tombstones.add(run.runId, run.tokenHash);
    await this.#writer.write();
  }

  /**
   * Takes a grant away from every run, in every worker, before it returns. A run that cannot be served without it is
   * ended: nothing goes on with what was taken back.
   */
  async withdrawGrant(name: string): Promise<void> {
    for (const run of this.list().filter(({ grants }) => grants.includes(name))) {
      const changed: RegisteredRun = { ...run, grants: run.grants.filter((grant) => grant !== name) };
      try {
        const snapshot = await buildSnapshot(changed, this.#deps);
        if (!this.#runs.has(run.runId)) continue;
        this.#insert(changed, snapshot);
        await this.#deps.publisher.put(snapshot);
      } catch {
        await this.end(run.runId);
      }
    }
    await this.#writer.write();
  }

  /** Waits for what is being written. */
  async flush(): Promise<void> {
    await this.#writer.write();
  }

  /** Between opening a grant's value and keeping the run, the grant may have been revoked. */
  #requireGrants({ grants }: RegisteredRun, { credentials }: InlineValues): void {
    const isLabel = (name: string) => credentials.some(({ grant }) => grant === name);
    const gone = grants.find((name) => this.#deps.credentials.get(name) === undefined && !isLabel(name));
    if (gone !== undefined) throw new Problem("grants.not_found", { detail: `${gone} was revoked.` });
  }

  async #exclusively<T>(runId: string, act: () => Promise<T>): Promise<T> {
    if (this.#busy.has(runId)) throw new Problem("runs.id_taken");
    this.#busy.add(runId);
    try {
      return await act();
    } finally {
      this.#busy.delete(runId);
    }
  }

  #insert(run: RegisteredRun, snapshot: RunSnapshot): void {
    const before = this.#runs.get(run.runId);
    if (before !== undefined) this.#byTokenHash.delete(before.tokenHash);
    this.#runs.set(run.runId, run);
    this.#byTokenHash.set(run.tokenHash, run);
    this.#snapshots.set(run.runId, snapshot);
  }

  #remove(run: RegisteredRun): void {
    this.#runs.delete(run.runId);
    this.#byTokenHash.delete(run.tokenHash);
    this.#snapshots.delete(run.runId);
  }
}
