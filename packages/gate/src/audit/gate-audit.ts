import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type AuditEvent, type Clock, encodeUnnumbered, makeUuid, Problem, type Random } from "@gatehouse/core";
import { AuditLog, type AuditState, type Log, openSigningKey, SegmentFolder } from "@gatehouse/kit";
import { entriesNotIn, entryLines, readEntryLines } from "./entry-lines.ts";
import { leaveEntries, takeLeftEntries } from "./left-entries.ts";
import { PassedEntries } from "./passed-entries.ts";

/** What an event is made of; its writer adds the time, and null for what is absent. */
export type GateEvent = Pick<AuditEvent, "kind" | "data"> & Partial<Pick<AuditEvent, "run" | "agent" | "actor">>;

/** Where changes are put on record. */
export interface ChangeLog {
  /**
   * On record and durable first, done then: nothing holds that is not on record. When `act` fails, that is on record
   * too, as `<kind>_failed`. Fails with `audit.unwritable` before anything is done.
   */
  attempt<T>(event: GateEvent, act: () => Promise<T>): Promise<T>;
  /**
   * For what takes something away: it is done whether it can be put on record now or not. Where no memory is left for
   * it, it is counted, and the number is on record when the log is written again.
   */
  note(event: GateEvent): void;
  /** Resolves when all of it is durable. Fails with `audit.unwritable`; it is written as soon as it can be. */
  settled(): Promise<void>;
}

export interface GateAuditOptions {
  readonly stateDir: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** A successor that has just gone lets the log go within a moment. */
const TAKE_BACK_WAIT_MS = 2_500;

/**
 * The node's audit log, in `audit/`, signed by its `identity.key`. While a successor has the log, what is noted here
 * waits until the successor has written it.
 */
export class GateAudit implements ChangeLog, AsyncDisposable {
  /** Told when entries are taken no more, and when they are again. */
  onTaking: (isTaking: boolean) => void = () => undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #folder: string;
  readonly #open: (waitMs?: number) => Promise<AuditLog>;
  #audit: AuditLog;
  #refusedSince: number | undefined;
  /** Entries for which there was no memory. */
  #leftOut = 0;
  #passed: PassedEntries | undefined;
  #takingBack: Promise<void> | undefined;

  private constructor({ clock, log }: GateAuditOptions, opened: Opened) {
    this.#clock = clock;
    this.#log = log;
    this.#folder = opened.folder;
    this.#open = opened.open;
    this.#audit = opened.audit;
  }

  /**
   * Opens the log and takes up what was left beside it. Fails with `audit.tampered` when signed entries are gone or
   * changed, `state.corrupt` when the key is another.
   */
  static async open(options: GateAuditOptions): Promise<GateAudit> {
    const { stateDir, clock, random } = options;
    const folder = join(stateDir, "audit");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const key = await openSigningKey(join(stateDir, "identity.key"));
    const newLogId = () => makeUuid(clock.now(), random);
    let gate: GateAudit | undefined;
    const onChange = (state: AuditState) => {
      if (gate !== undefined) gate.#onChange(state);
    };
    const open = async (waitMs?: number) => {
      const store = await SegmentFolder.open(folder, waitMs === undefined ? {} : { waitMs });
      return AuditLog.open({ store, key, clock, newLogId, onChange });
    };
    const audit = await open().catch((failure: unknown) => {
      throw withRemedy(failure, folder);
    });
    gate = new GateAudit(options, { audit, folder, open });
    await gate.#takeLeft();
    return gate;
  }

  /** The log's id, which is the node's as long as no server gave it one. */
  get node(): string {
    return this.#audit.log;
  }

  get state(): AuditState & { readonly entries: number } {
    const { state, size } = this.#audit;
    if (this.#passed === undefined) return { ...state, entries: size };
    return { ...this.#passed.state, entries: this.#passed.size };
  }

  /** What waits for the successor that has the log; `undefined` while this process writes it. */
  get passed(): PassedEntries | undefined {
    return this.#passed;
  }

  /**
   * Covers all by a signed head and closes the log for a successor. Fails with `audit.unwritable`; then it stays this
   * process's.
   */
  async handOver(onReady: () => void): Promise<void> {
    if (this.#passed !== undefined) throw new Problem("daemon.handing_over");
    const passed = new PassedEntries((state) => this.#onChange(state));
    passed.onReady = onReady;
    this.#passed = passed;
    try {
      await this.#audit.settled();
      await this.#audit.signHead();
    } catch (failure) {
      this.#passed = undefined;
      this.noteLines(passed.end().sure);
      throw failure;
    }
    await this.#audit[Symbol.asyncDispose]();
    passed.give(this.#audit.size);
  }

  /**
   * Writes the log again, and in it what the successor did not. One that was never given out is written all along.
   * Fails with `state.locked` while another has the log; then everything goes on waiting.
   */
  takeBack(): Promise<void> {
    this.#takingBack ??= this.#takeBack().finally(() => {
      this.#takingBack = undefined;
    });
    return this.#takingBack;
  }

  async #takeBack(): Promise<void> {
    const passed = this.#passed;
    if (passed === undefined) return;
    const audit = await this.#open(TAKE_BACK_WAIT_MS);
    const { after, doubtful } = passed.doubtful;
    const missing = await entriesNotIn(this.#folder, after, readEntryLines(doubtful));
    const wasTaking = passed.state.isTaking;
    this.#audit = audit;
    this.#passed = undefined;
    audit.noteEncoded([...missing, ...readEntryLines(passed.end().sure)]);
    if (!wasTaking) this.#onChange(audit.state);
    await audit.settled();
  }

  async attempt<T>(event: GateEvent, act: () => Promise<T>): Promise<T> {
    if (this.#passed !== undefined) throw new Problem("daemon.handing_over");
    await this.#audit.append(this.#complete(event));
    try {
      return await act();
    } catch (failure) {
      this.note({ ...event, kind: `${event.kind}_failed` });
      throw failure;
    }
  }

  note(event: GateEvent): void {
    if (!this.#hasRoom) {
      this.#leftOut += 1;
      return;
    }
    const complete = this.#complete(event);
    if (this.#passed === undefined) this.#audit.note([complete]);
    else this.#passed.add(entryLines(encodeUnnumbered(complete, { org: null, node: this.node })));
  }

  /** For what adds something and is noted when done. Fails with `audit.unwritable` where no memory is left for it. */
  requireRoom(): void {
    if (!this.#hasRoom) throw new Problem("audit.unwritable", { detail: "Too much waits to be written." });
  }

  get #hasRoom(): boolean {
    return (this.#passed ?? this.#audit).hasRoom;
  }

  /** Entries of a worker, as it wrote them down. */
  noteLines(lines: string): void {
    if (this.#passed === undefined) this.#audit.noteEncoded(readEntryLines(lines));
    else this.#passed.add(lines);
  }

  /** As `noteLines`; resolves when the entries are durable, however long a fault lasts. */
  async takeLines(lines: string): Promise<void> {
    this.noteLines(lines);
    await this.#passed?.settled();
    if (this.#passed === undefined) await this.#audit.written();
  }

  async settled(): Promise<void> {
    await this.#passed?.settled();
    if (this.#passed === undefined) await this.#audit.settled();
  }

  /** As `settled`, however long a fault lasts. Returns how many entries the log had by then. */
  async durable(): Promise<number> {
    await this.#passed?.settled();
    return this.#passed?.size ?? this.#audit.durable();
  }

  /** Covers all that is on record by a signed head. Fails with `audit.unwritable`. */
  signHead(): Promise<void> {
    return this.#audit.signHead();
  }

  #complete({ run = null, agent = null, actor = "node", kind, data }: GateEvent): AuditEvent {
    return { time: this.#clock.now(), run, agent, actor, kind, data };
  }

  #onChange({ isTaking, reason }: AuditState): void {
    this.onTaking(isTaking);
    if (!isTaking) {
      this.#refusedSince = this.#clock.now();
      this.#log.error("audit log cannot be written, requests are refused", { reason });
      return;
    }
    this.#log.info("audit log is written again");
    const data = { refused_since: this.#refusedSince ?? null, left_out: this.#leftOut };
    this.#leftOut = 0;
    this.note({ kind: "audit.resumed", data });
  }

  async #takeLeft(): Promise<void> {
    try {
      const entries = await takeLeftEntries(this.#folder, this.#audit);
      if (entries > 0) this.#log.info("entries of the audit log that were left by another are taken up", { entries });
    } catch (failure) {
      await this.#audit[Symbol.asyncDispose]();
      throw failure;
    }
  }

  /** What the successor did not write is written now, or left where the log's next writer finds it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if ((this.#passed?.entries ?? 0) > 0) await this.takeBack().catch(() => this.#leave());
    if (this.#passed === undefined) await this.#audit[Symbol.asyncDispose]();
  }

  async #leave(): Promise<void> {
    const passed = this.#passed;
    if (passed === undefined) return;
    const { entries } = passed;
    try {
      const path = await leaveEntries(this.#folder, passed.end());
      this.#log.warn("entries are left for the next writer of the audit log", { entries, path });
    } catch (failure) {
      this.#log.error("entries of the audit log are lost", { entries, failure });
    }
  }
}

interface Opened {
  readonly audit: AuditLog;
  readonly folder: string;
  /** Opens it again. */
  readonly open: (waitMs?: number) => Promise<AuditLog>;
}

const CHANGED: ReadonlySet<unknown> = new Set(["audit.tampered", "state.corrupt"]);

function withRemedy(failure: unknown, folder: string): unknown {
  if (!(failure instanceof Problem) || !CHANGED.has(failure.code)) return failure;
  const detail = `${failure.detail ?? ""} Find out why, then move ${folder} away to begin a new log.`;
  return new Problem(failure.code, { detail: detail.trim(), cause: failure });
}
