import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type AuditEvent, type Clock, Problem } from "@gatehouse/core";
import { AuditLog, type AuditState, type Log, openIdentityKey, SegmentFolder } from "@gatehouse/kit";
import { makeCredentialId } from "../credentials/credential-id.ts";

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
  readonly log: Log;
}

/** The node's audit log, in `audit/`, signed by its `identity.key`. */
export class GateAudit implements ChangeLog, AsyncDisposable {
  /** Told when entries are taken no more, and when they are again. */
  onTaking: (isTaking: boolean) => void = () => undefined;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #store: SegmentFolder;
  #audit: AuditLog | undefined;
  #refusedSince: number | undefined;

  private constructor({ stateDir, clock, log }: GateAuditOptions) {
    this.#clock = clock;
    this.#log = log;
    this.#store = new SegmentFolder(join(stateDir, "audit"));
  }

  /** Fails with `audit.tampered` when signed entries are gone or changed, `state.corrupt` when the key is another. */
  static async open(options: GateAuditOptions): Promise<GateAudit> {
    await mkdir(join(options.stateDir, "audit"), { recursive: true, mode: 0o700 });
    const opened = new GateAudit(options);
    opened.#audit = await AuditLog.open({
      store: opened.#store,
      key: await openIdentityKey(options.stateDir),
      clock: options.clock,
      newLogId: () => makeCredentialId(options.clock.now()),
      onChange: (state) => opened.#onChange(state),
    });
    return opened;
  }

  get #opened(): AuditLog {
    if (this.#audit === undefined) throw new Problem("internal");
    return this.#audit;
  }

  /** The log's id, which is the node's as long as no server gave it one. */
  get node(): string {
    return this.#opened.log;
  }

  get state(): AuditState & { readonly entries: number } {
    const { state, size } = this.#opened;
    return { ...state, entries: size };
  }

  async attempt<T>(event: GateEvent, act: () => Promise<T>): Promise<T> {
    await this.#opened.append(this.#complete(event));
    try {
      return await act();
    } catch (failure) {
      this.note({ ...event, kind: `${event.kind}_failed` });
      throw failure;
    }
  }

  note(event: GateEvent): void {
    this.#opened.note([this.#complete(event)]);
  }

  /** Entries of a worker: two lines each, the text before the number and behind. */
  noteLines(lines: string): void {
    const texts = lines.split("\n");
    const entries = [];
    for (let at = 0; at + 1 < texts.length; at += 2) {
      entries.push({ before: texts[at] ?? "", after: texts[at + 1] ?? "" });
    }
    this.#opened.noteEncoded(entries);
  }

  settled(): Promise<void> {
    return this.#opened.settled();
  }

  /** Covers all that is on record by a signed head. Fails with `audit.unwritable`. */
  signHead(): Promise<void> {
    return this.#opened.signHead();
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
    await this.#opened[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
  }
}
