import { randomBytes } from "node:crypto";
import { compilePolicy, Problem, type RunId } from "@gatehouse/core";
import { auditText, runEvent } from "../audit/run-events.ts";
import { buildCurrentSnapshot, sealInlineValues } from "../holder/build-snapshot.ts";
import { keepScrubbing } from "../snapshot/keep-scrubbing.ts";
import type { RunSnapshot } from "../snapshot/run-snapshot.ts";
import { hashToken } from "../worker/identify-run.ts";
import { CoalescedWriter } from "./coalesced-writer.ts";
import type { Registration } from "./parse-registration.ts";
import { type RefusedRun, RefusedRuns } from "./refused-runs.ts";
import type { RegisteredRun } from "./registered-run.ts";
import type { NewRun, RegistryDeps } from "./registry-deps.ts";
import { RunIndex } from "./run-index.ts";
import { readRuns, refuseRun, type StoredRuns, writeRuns } from "./runs-file.ts";
import { Tombstones } from "./tombstones.ts";
import { Turns } from "./turns.ts";

type Concerns = (run: RegisteredRun) => boolean;

/**
 * The runs that the gate serves. A token answers only when its run is complete, durable and known to every worker; a
 * run that ends is gone from all of them before the end is answered. Changes of one run happen in turn.
 */
export class RunRegistry {
  readonly #deps: RegistryDeps;
  readonly #index = new RunIndex();
  /** Served no more, but their end is not on disk yet; by token hash. */
  readonly #ending = new Map<string, RegisteredRun>();
  readonly #turns = new Turns();
  readonly #tombstones: Tombstones;
  readonly #refused: RefusedRuns;
  readonly #writer: CoalescedWriter;
  #proxyPort: number;

  private constructor(deps: RegistryDeps, tombstones: Tombstones, stored: StoredRuns) {
    this.#deps = deps;
    this.#tombstones = tombstones;
    this.#refused = new RefusedRuns(stored.refused, [stored.fault, tombstones.fault]);
    this.#proxyPort = stored.proxyPort;
    this.#writer = new CoalescedWriter(() => {
      const runs = { proxyPort: this.#proxyPort, runs: this.list(), refused: this.#refused.entries };
      return writeRuns(deps.stateDir, runs);
    });
  }

  /** Restores what was registered. A run whose grants or policy cannot be had in full is refused, not weakened. */
  static async open(deps: RegistryDeps): Promise<RunRegistry> {
    const now = () => deps.clock.now();
    const stored = await readRuns(deps.stateDir, now);
    const registry = new RunRegistry(deps, await Tombstones.open(deps.stateDir, now), stored);
    for (const one of stored.runs) await registry.#restore(one);
    return registry;
  }

  /** Port that the shared listener had; a restart asks for it again, so that registered clients find it. */
  get proxyPort(): number {
    return this.#proxyPort;
  }

  async setProxyPort(port: number): Promise<void> {
    if (this.#proxyPort === port) return;
    this.#proxyPort = port;
    await this.#writer.write();
  }

  /** Nothing changes any more, in memory or on disk: a successor reads what is there. */
  freeze(): Promise<void> {
    return this.#turns.close();
  }

  get refused(): readonly RefusedRun[] {
    return this.#refused.report();
  }

  get size(): number {
    return this.#index.size;
  }

  list(): readonly RegisteredRun[] {
    return this.#index.all().map(({ run }) => run);
  }

  snapshots(): readonly RunSnapshot[] {
    return this.#index.all().map(({ snapshot }) => snapshot);
  }

  get(runId: string): RegisteredRun | undefined {
    return this.#index.get(runId)?.run;
  }

  /** `POST /v1/runs`: registers, or registers anew under the run's own token. Returns the token. */
  async register(registration: Registration, actor?: string): Promise<string> {
    const { runId, token, credentials, slots, extraHeaders, ...rest } = registration;
    return this.#turns.take(runId, async () => {
      const known = this.get(runId);
      this.#admit({ runId, known, hash: token === undefined ? undefined : hashToken(token) });
      return this.#add({
        token,
        actor,
        values: { credentials, slots, extraHeaders },
        run: {
          ...rest,
          runId,
          containerId: known?.containerId,
          agent: undefined,
          project: undefined,
          place: { kind: "shared" },
          isExposed: false,
          placeholders: {},
        },
      });
    });
  }

  /** Adds a run and returns its token. Nothing is kept when any step fails; a live id fails with `runs.id_taken`. */
  async add(run: NewRun): Promise<string> {
    const { runId } = run.run;
    return this.#turns.take(runId, async () => {
      if (this.#index.get(runId) !== undefined) throw new Problem("runs.id_taken");
      return this.#add(run);
    });
  }

  /** Notes the container of a run. Fails with `runs.not_found`. */
  async setContainer(token: string, containerId: string, actor?: string): Promise<void> {
    await this.#withRun(token, async (run) => {
      const entry = this.#index.get(run.runId);
      if (entry?.run !== run) throw new Problem("runs.not_found");
      const snapshot = { ...entry.snapshot, containerAddresses: [] };
      const event = runEvent("container_set", run, { container: auditText(containerId) });
      await this.#deps.audit.attempt({ ...event, ...by(actor) }, async () => {
        this.#index.put({ snapshot, run: { ...run, containerId } });
        await this.#writer.write();
      });
      await this.#deps.publisher.put(snapshot);
    });
  }

  /** From where the run's container connects, as its engine says. Nothing happens when the run has changed meanwhile. */
  async noteAddresses(run: RegisteredRun, addresses: readonly string[]): Promise<void> {
    await this.#turns.take(run.runId, async () => {
      const entry = this.#index.get(run.runId);
      if (entry?.run !== run || entry.snapshot.containerAddresses?.join() === addresses.join()) return;
      const snapshot = { ...entry.snapshot, containerAddresses: addresses };
      this.#index.put({ run, snapshot });
      await this.#deps.publisher.put(snapshot);
    });
  }

  /** Ends a run whose container is gone. Nothing happens when the run has changed meanwhile. */
  async endGone(run: RegisteredRun): Promise<void> {
    await this.#turns.take(run.runId, async () => {
      if (this.get(run.runId) === run) await this.#end(run);
    });
  }

  /**
   * Ends a run: out of the workers first, then durable. Unknown ids are nothing to end. After `state.write_failed` it
   * is served no more and can be ended again, until that is durable too.
   */
  async end(runId: string): Promise<void> {
    await this.#turns.take(runId, async () => {
      const ending = [...this.#ending.values()].find((run) => run.runId === runId);
      const run = this.get(runId) ?? ending;
      if (run !== undefined) await this.#end(run);
      else await this.#endRefused(runId);
    });
  }

  /** `end` by token, a refused run's too. Fails with `runs.not_found`. */
  async endByToken(token: string, actor?: string): Promise<void> {
    const refused = this.#refused.findByTokenHash(hashToken(token));
    if (refused !== undefined) await this.end(refused.runId);
    else await this.#withRun(token, (run) => this.#end(run, actor));
  }

  /** Takes a grant away from every run, in every worker, before it returns. */
  withdrawGrant(name: string): Promise<void> {
    return this.#changeRuns(hasGrant(name), (run) => {
      this.#deps.audit.note(runEvent("grant_withdrawn", run, { grant: name }));
      return { ...run, grants: run.grants.filter((grant) => grant !== name) };
    });
  }

  /** Gives every run of a grant its present value, in every worker, before it returns. */
  refreshGrant(name: string): Promise<void> {
    return this.#changeRuns(hasGrant(name), (run) => run);
  }

  /** Gives every run the present form of everything that it is built of. */
  refreshAll(): Promise<void> {
    return this.#changeRuns(
      () => true,
      (run) => run,
    );
  }

  /**
   * A run that cannot be served any more after the change is ended: nothing goes on with what was taken back. One
   * failure keeps no other run waiting; the first is thrown.
   */
  async #changeRuns(isConcerned: Concerns, change: (run: RegisteredRun) => RegisteredRun): Promise<void> {
    const failures: unknown[] = [];
    for (const { runId } of this.list()) {
      const act = () => this.#changeRun(runId, isConcerned, change);
      await this.#turns.take(runId, act).catch((failure) => failures.push(failure));
    }
    await this.#writer.write();
    if (failures.length > 0) throw failures[0];
  }

  async #changeRun(runId: RunId, isConcerned: Concerns, change: (run: RegisteredRun) => RegisteredRun): Promise<void> {
    const entry = this.#index.get(runId);
    if (entry === undefined || !isConcerned(entry.run)) return;
    const { run } = entry;
    const changed = change(run);
    try {
      const built = await buildCurrentSnapshot(changed, this.#deps);
      const snapshot = this.#keepAddresses(keepScrubbing(built, entry.snapshot));
      this.#index.put({ run: changed, snapshot });
      await this.#deps.publisher.put(snapshot);
    } catch {
      await this.#end(run);
    }
  }

  async #restore(stored: StoredRuns["runs"][number]): Promise<void> {
    const { run } = stored;
    // Ended, but the list without it could not be written any more.
    if (this.#tombstones.hasToken(run.tokenHash)) return;
    try {
      const isTwice = this.#index.findByTokenHash(run.tokenHash) ?? this.#index.get(run.runId);
      if (isTwice !== undefined) throw new Problem("runs.id_taken");
      compilePolicy(run.policy);
      this.#index.put({ run, snapshot: await buildCurrentSnapshot(run, this.#deps) });
    } catch (failure) {
      const reason = failure instanceof Problem ? failure.message : "it cannot be restored";
      this.#refused.putBack([refuseRun(stored, reason)]);
    }
  }

  /** The rules of `auth_token`: a live run only under its own, no token of another, none that was deleted lately. */
  #admit(asked: {
    readonly runId: string;
    readonly known: RegisteredRun | undefined;
    readonly hash: string | undefined;
  }): void {
    const { runId, known, hash } = asked;
    const isRevoked = hash !== undefined && this.#tombstones.mayHave(hash, runId);
    if (isRevoked && known === undefined) throw new Problem("runs.token_revoked");
    const holder = hash === undefined ? undefined : this.#index.findByTokenHash(hash);
    if (holder !== undefined && holder.run.runId !== runId) throw new Problem("runs.token_conflict");
    if (known !== undefined && (known.tokenHash !== hash || known.place.kind === "sandbox"))
      throw new Problem("runs.id_taken");
  }

  async #add({ run, values, token, actor }: NewRun): Promise<string> {
    compilePolicy(run.policy);
    const given = token ?? randomBytes(32).toString("hex");
    const registered: RegisteredRun = {
      ...run,
      tokenHash: hashToken(given),
      registeredAt: this.#deps.clock.now(),
      sealedValues: await sealInlineValues(run.runId, values, this.#deps.key),
    };
    // What cannot be served is refused before it is on record.
    await buildCurrentSnapshot(registered, this.#deps);
    const event = { ...runEvent("registered", registered), ...by(actor) };
    await this.#deps.audit.attempt(event, () => this.#keep(registered));
    return given;
  }

  async #keep(run: RegisteredRun): Promise<void> {
    const { runId } = run;
    const before = this.#index.get(runId);
    // Built and put without a wait between: a grant that was revoked until now is not in it, and from now on it is
    // found.
    const built = await buildCurrentSnapshot(run, this.#deps);
    const snapshot = this.#keepAddresses(keepScrubbing(built, before?.snapshot));
    const refused = this.#refused.take(runId);
    this.#index.put({ run, snapshot });
    try {
      await this.#writer.write();
      await this.#deps.publisher.put(snapshot);
    } catch (failure) {
      this.#index.delete(runId);
      if (before !== undefined) this.#index.put(before);
      this.#refused.putBack(refused);
      await this.#tellAgain(runId, before?.snapshot);
      throw failure;
    }
  }

  /** A run that changes is still in its container. */
  #keepAddresses(snapshot: RunSnapshot): RunSnapshot {
    if (snapshot.containerAddresses === undefined) return snapshot;
    const containerAddresses = this.#index.get(snapshot.runId)?.snapshot.containerAddresses ?? [];
    return { ...snapshot, containerAddresses };
  }

  /** After a change that was taken back: a worker that started meanwhile, or the disk, may have it already. */
  async #tellAgain(runId: RunId, snapshot: RunSnapshot | undefined): Promise<void> {
    const { publisher } = this.#deps;
    const told = snapshot === undefined ? publisher.drop(runId) : publisher.put(snapshot);
    await Promise.allSettled([told, this.#writer.write()]);
  }

  async #end(run: RegisteredRun, actor?: string): Promise<void> {
    if (!this.#ending.has(run.tokenHash)) this.#deps.audit.note({ ...runEvent("ended", run), ...by(actor) });
    this.#ending.set(run.tokenHash, run);
    if (this.get(run.runId)?.tokenHash === run.tokenHash) {
      this.#index.delete(run.runId);
      await this.#deps.publisher.drop(run.runId);
    }
    await this.#tombstones.add(run.runId, run.tokenHash);
    await this.#writer.write();
    await this.#deps.audit.settled();
    this.#ending.delete(run.tokenHash);
  }

  async #endRefused(runId: string): Promise<void> {
    const taken = this.#refused.take(runId);
    if (taken.length === 0) return;
    try {
      this.#deps.audit.note({ run: auditText(runId), kind: "run.ended", data: { was_refused: true } });
      for (const { tokenHash } of taken) if (tokenHash !== undefined) await this.#tombstones.add(runId, tokenHash);
      await this.#writer.write();
    } catch (failure) {
      this.#refused.putBack(taken);
      throw failure;
    }
  }

  async #withRun(token: string, act: (run: RegisteredRun) => Promise<void>): Promise<void> {
    const hash = hashToken(token);
    const find = () => this.#index.findByTokenHash(hash)?.run ?? this.#ending.get(hash);
    const found = find();
    if (found === undefined) throw new Problem("runs.not_found");
    await this.#turns.take(found.runId, async () => {
      const run = find();
      if (run === undefined) throw new Problem("runs.not_found");
      await act(run);
    });
  }
}

function by(actor: string | undefined): { readonly actor?: string } {
  return actor === undefined ? {} : { actor };
}

function hasGrant(name: string): Concerns {
  return ({ grants }) => grants.includes(name);
}
