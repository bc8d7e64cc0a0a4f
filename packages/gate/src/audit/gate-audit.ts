import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type AuditEvent, type Clock, makeUuid, Problem, type Random } from "@gatehouse/core";
import { AuditLog, type AuditState, type Log, openSigningKey, SegmentFolder } from "@gatehouse/kit";

/** What an event is made of; its writer adds the time, and null for what is absent. */
export type GateEvent = Pick<AuditEvent, "kind" | "data"> & Partial<Pick<AuditEvent, "run" | "agent" | "actor">>;

/** Where changes are put on record. */
export interface ChangeLog {
  /**
   * On record and durable first, done then: nothing holds that is not on record. When `act` fails, that is on record
   * too, as `<kind>_failed`. Fails with `audit.unwritable` before anything is done.
   */
  attempt<T>(event: GateEvent, act: () => Promise<T>): Promise<T>;
  /** For what takes something away: it is done whether it can be put on record now or not. */
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

/** The node's audit log, in `audit/`, signed by its `identity.key`. */
export class GateAudit implements ChangeLog, AsyncDisposable {
  /** Told when entries are taken no more, and when they are again. */
  onTaking: (isTaking: boolean) => void = () => undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #reopen: () => Promise<AuditLog>;
  #audit: AuditLog;
  #refusedSince: number | undefined;
  /** A successor writes the log from here on; nothing may be added by this process. */
  #isHandedOver = false;

  private constructor({ clock, log }: GateAuditOptions, audit: AuditLog, reopen: () => Promise<AuditLog>) {
    this.#reopen = reopen;
    this.#clock = clock;
    this.#log = log;
    this.#audit = audit;
  }

  /** Fails with `audit.tampered` when signed entries are gone or changed, `state.corrupt` when the key is another. */
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
    const openLog = async () =>
      AuditLog.open({ store: await SegmentFolder.open(folder), key, clock, newLogId, onChange });
    try {
      gate = new GateAudit(options, await openLog(), openLog);
    } catch (failure) {
      throw withRemedy(failure, folder);
    }
    return gate;
  }

  /** The log's id, which is the node's as long as no server gave it one. */
  get node(): string {
    return this.#audit.log;
  }

  get state(): AuditState & { readonly entries: number } {
    const { state, size } = this.#audit;
    return { ...state, entries: size };
  }

  /** Covers all by a signed head and closes the log for a successor. */
  async handOver(): Promise<void> {
    this.#isHandedOver = true;
    try {
      await this.#audit.settled();
      await this.#audit.signHead();
    } finally {
      await this.#audit[Symbol.asyncDispose]();
    }
  }

  /** Writes the log again: no successor came. One that was never given out is written all along. */
  async takeBack(): Promise<void> {
    if (!this.#isHandedOver) return;
    this.#audit = await this.#reopen();
    this.#isHandedOver = false;
  }

  async attempt<T>(event: GateEvent, act: () => Promise<T>): Promise<T> {
    if (this.#isHandedOver) throw new Problem("daemon.handing_over");
    await this.#audit.append(this.#complete(event));
    try {
      return await act();
    } catch (failure) {
      this.note({ ...event, kind: `${event.kind}_failed` });
      throw failure;
    }
  }

  note(event: GateEvent): void {
    if (this.#isHandedOver) return;
    this.#audit.note([this.#complete(event)]);
  }

  /** Entries of a worker: two lines each, the text before the number and behind. */
  noteLines(lines: string): void {
    if (this.#isHandedOver) return;
    const texts = lines.split("\n");
    const entries = [];
    for (let at = 0; at + 1 < texts.length; at += 2) {
      entries.push({ before: texts[at] ?? "", after: texts[at + 1] ?? "" });
    }
    this.#audit.noteEncoded(entries);
  }

  settled(): Promise<void> {
    return this.#audit.settled();
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
    this.note({ kind: "audit.resumed", data: { refused_since: this.#refusedSince ?? null } });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isHandedOver) await this.#audit[Symbol.asyncDispose]();
  }
}

const CHANGED: ReadonlySet<unknown> = new Set(["audit.tampered", "state.corrupt"]);

function withRemedy(failure: unknown, folder: string): unknown {
  if (!(failure instanceof Problem) || !CHANGED.has(failure.code)) return failure;
  const detail = `${failure.detail ?? ""} Find out why, then move ${folder} away to begin a new log.`;
  return new Problem(failure.code, { detail: detail.trim(), cause: failure });
}
