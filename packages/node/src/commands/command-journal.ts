import { closeSync, openSync } from "node:fs";
import { DatabaseSync, type SQLOutputValue, type StatementSync } from "node:sqlite";
import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { Problem } from "@gatehouse/core";
import { Ack_Status, type CommandHeader, CommandHeaderSchema } from "@gatehouse/wire";

/** How a command ended here. */
export interface CommandOutcome {
  readonly status: Ack_Status;
  readonly message: string;
  readonly payload: Uint8Array;
}

/** A command that was accepted once. */
export interface JournalEntry {
  readonly commandId: string;
  readonly payloadSha256: Uint8Array;
  /** `undefined`: it is being executed. */
  readonly outcome: CommandOutcome | undefined;
}

const SCHEMA = `
  create table if not exists commands (
    id text primary key,
    idempotency_key text not null unique,
    payload_sha256 blob not null,
    not_after integer not null,
    status integer not null default 0,
    message text not null default '',
    payload blob not null default x'',
    received integer not null default 0
  ) strict;
  create index if not exists commands_by_time on commands (not_after);
  create table if not exists position (
    one integer primary key check (one = 1), epoch integer not null, seq integer not null, header blob not null
  ) strict;
`;

const REACH = `
  insert into position (one, epoch, seq, header) values (1, ?, ?, ?)
  on conflict (one) do update set epoch = excluded.epoch, seq = excluded.seq, header = excluded.header
  where (excluded.epoch, excluded.seq) > (position.epoch, position.seq)
`;

const LOST = "The node's daemon ended while the command was executed.";

/**
 * Which commands were accepted here, and what came of them: on disk before anything is executed, so that nothing is
 * executed twice. What was being executed when the process died has an unknown outcome, said once.
 */
export class CommandJournal implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /** Fails with `state.write_failed`. */
  static open(path: string): CommandJournal {
    let database: DatabaseSync | undefined;
    try {
      closeSync(openSync(path, "a", 0o600));
      database = new DatabaseSync(path, { timeout: 5_000 });
      database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF");
      database.exec(SCHEMA);
      const lost = database.prepare("update commands set status = ?, message = ? where status = 0");
      lost.run(Ack_Status.OUTCOME_UNKNOWN, LOST);
      return new CommandJournal(database);
    } catch (cause) {
      database?.close();
      throw new Problem("state.write_failed", { detail: `${path} cannot be opened.`, cause });
    }
  }

  find(commandId: string): JournalEntry | undefined {
    return toEntry(this.#prepare("select * from commands where id = ?").get(commandId));
  }

  findByKey(idempotencyKey: string): JournalEntry | undefined {
    return toEntry(this.#prepare("select * from commands where idempotency_key = ?").get(idempotencyKey));
  }

  /** The latest command that was taken here; `undefined`: there was none. */
  position(): CommandHeader | undefined {
    const row = this.#prepare("select header from position").get();
    return row === undefined ? undefined : fromBinary(CommandHeaderSchema, row.header as Uint8Array);
  }

  /** On disk when it returns: the command and its place. Fails with `state.write_failed`. */
  accept(header: CommandHeader): void {
    const { commandId, idempotencyKey, payloadSha256, notAfter } = header;
    const insert = "insert into commands (id, idempotency_key, payload_sha256, not_after) values (?, ?, ?, ?)";
    try {
      this.#database.exec("begin immediate");
      this.#prepare(insert).run(commandId, idempotencyKey, payloadSha256, notAfter);
      this.reach(header);
      this.#database.exec("commit");
    } catch (cause) {
      if (this.#database.isTransaction) this.#database.exec("rollback");
      throw new Problem("state.write_failed", { cause });
    }
  }

  /** On disk when it returns: the node was at this command's place, and is at no earlier one again. */
  reach(header: CommandHeader): void {
    this.#prepare(REACH).run(header.epoch, header.seq, toBinary(CommandHeaderSchema, header));
  }

  finish(commandId: string, { status, message, payload }: CommandOutcome): void {
    const end = "update commands set status = ?, message = ?, payload = ? where id = ? and status = 0";
    this.#prepare(end).run(status, message, payload, commandId);
  }

  /** Ends that the server does not know of yet. */
  unreceived(): readonly JournalEntry[] {
    const rows = this.#prepare("select * from commands where status <> 0 and received = 0 order by rowid").all();
    return rows.flatMap((row) => toEntry(row) ?? []);
  }

  executing(): readonly string[] {
    return this.#prepare("select id from commands where status = 0")
      .all()
      .map(({ id }) => String(id));
  }

  markReceived(commandId: string): void {
    this.#prepare("update commands set received = 1 where id = ?").run(commandId);
  }

  /** Forgets what nobody may send again. */
  forgetBefore(notAfter: number): void {
    this.#prepare("delete from commands where not_after < ? and status <> 0").run(notAfter);
  }

  #prepare(sql: string): StatementSync {
    return this.#database.prepare(sql);
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function toEntry(row: Record<string, SQLOutputValue> | undefined): JournalEntry | undefined {
  if (row === undefined) return undefined;
  const status = Number(row.status);
  const outcome = { status, message: String(row.message), payload: row.payload as Uint8Array };
  return {
    commandId: String(row.id),
    payloadSha256: row.payload_sha256 as Uint8Array,
    outcome: status === 0 ? undefined : outcome,
  };
}
