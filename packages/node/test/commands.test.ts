import { createHash, generateKeyPairSync, randomUUID, sign } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { create, toBinary } from "@bufbuild/protobuf";
import { commandTuple } from "@gatehouse/core";
import { createLog, type KeySetDocument } from "@gatehouse/kit";
import { Ack_Status, CommandPayloadSchema, CommandSchema, createMessageCheck } from "@gatehouse/wire";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type CommandAck, type CommandEvent, CommandExecutor } from "../src/commands/command-executor.ts";
import type { CommandHandlers } from "../src/commands/command-handlers.ts";
import { CommandJournal } from "../src/commands/command-journal.ts";

const NOW = 1_800_000_000_000;
const CHECK = createMessageCheck();
const LOG = createLog({ level: "error", format: "json", write: () => undefined });
const PING = { case: "ping", value: {} } as const;
const STOP = { case: "stopRun", value: { runId: "r1" } } as const;

type Kind = typeof PING | typeof STOP | { readonly case: "drain"; readonly value: { readonly deadline: bigint } };

/** The server's command key, as the node's key set lists it. */
class Signer {
  readonly #pair = generateKeyPairSync("ed25519");
  readonly keySet: KeySetDocument;

  constructor() {
    const { x = "" } = this.#pair.publicKey.export({ format: "jwk" });
    this.keySet = { epoch: 1, issued_at: 1, keys: [{ use: "command", id: "k1", key: x }], signature: "" };
  }

  command(seq: number, more: Partial<Asked> = {}) {
    const asked: Asked = { ...FRESH, commandId: randomUUID(), idempotencyKey: randomUUID(), ...more };
    const { kind, nodeId, commandId, idempotencyKey, notAfter, epoch } = asked;
    const payload = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind }));
    const payloadSha256 = new Uint8Array(createHash("sha256").update(payload).digest());
    const own = { orgId: "acme", nodeId, actor: "operator:ada", epoch, seq, commandId, idempotencyKey, notAfter };
    const signature = new Uint8Array(sign(null, commandTuple({ ...own, payloadSha256 }), this.#pair.privateKey));
    const counted = { epoch: BigInt(epoch), seq: BigInt(seq), notAfter: BigInt(notAfter) };
    const header = { commandId, idempotencyKey, actor: own.actor, ...counted, payloadSha256, keyId: "k1", signature };
    return create(CommandSchema, { header, payload });
  }
}

interface Asked {
  readonly kind: Kind;
  readonly nodeId: string;
  readonly commandId: string;
  readonly idempotencyKey: string;
  readonly notAfter: number;
  readonly epoch: number;
}

const FRESH = { kind: PING, nodeId: "n1", notAfter: NOW + 60_000, epoch: 1 } as const;

/** A node's executor over a real journal, with handlers that count what they did. */
class Executing implements AsyncDisposable {
  readonly done: string[] = [];
  readonly acks: CommandAck[] = [];
  readonly events: CommandEvent[] = [];
  readonly journal: CommandJournal;
  readonly executor: CommandExecutor;
  readonly #signer: Signer;
  #wake: (() => void) | undefined;

  constructor(directory: string, signer: Signer, handlers: CommandHandlers = {}) {
    this.#signer = signer;
    this.journal = CommandJournal.open(join(directory, "journal.db"));
    const count = (kind: string) => async () => {
      this.done.push(kind);
      return { message: kind };
    };
    this.executor = new CommandExecutor({
      journal: this.journal,
      handlers: { ping: count("ping"), stopRun: count("stop"), ...handlers },
      log: LOG,
      putOnRecord: async (event) => void this.events.push(event),
      sendAck: (ack) => {
        this.acks.push(ack);
        this.#wake?.();
      },
    });
  }

  /** Takes a command and waits for its answer. */
  async answer(command: ReturnType<Signer["command"]>): Promise<CommandAck | undefined> {
    const before = this.acks.length;
    const answered = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    await this.take(command);
    if (this.acks.length === before) await answered;
    return this.acks.at(-1);
  }

  take(command: ReturnType<Signer["command"]>): Promise<void> {
    const { keySet } = this.#signer;
    return this.executor.take(command, { orgId: "acme", nodeId: "n1", keySet, check: CHECK, now: () => NOW });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.executor[Symbol.asyncDispose]();
    this.journal[Symbol.dispose]();
  }
}

describe("a node", () => {
  const signer = new Signer();
  let directory = "";
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "gatehouse-journal-"));
  });
  afterEach(() => rmSync(directory, { recursive: true, force: true }));

  test("does what is signed for it, once, and has it on record before and after", async () => {
    await using node = new Executing(directory, signer);
    const command = signer.command(1);
    expect(await node.answer(command)).toMatchObject({ status: Ack_Status.OK, message: "ping" });
    expect(await node.answer(command)).toMatchObject({ status: Ack_Status.OK, message: "ping" });
    expect(node.done).toEqual(["ping"]);
    expect(node.events.map(({ kind }) => kind)).toEqual(["command.accepted", "command.finished"]);
  });

  test("answers a command that comes again under a new number with what came of it", async () => {
    await using node = new Executing(directory, signer);
    const commandId = randomUUID();
    await node.answer(signer.command(1, { commandId, idempotencyKey: "k" }));
    expect(await node.answer(signer.command(2, { commandId, idempotencyKey: "k" }))).toMatchObject({
      commandId,
      status: Ack_Status.OK,
    });
    const other = await node.answer(signer.command(3, { idempotencyKey: "k" }));
    expect(other).toMatchObject({ status: Ack_Status.OK });
    expect(await node.answer(signer.command(4, { idempotencyKey: "k", kind: STOP }))).toMatchObject({
      status: Ack_Status.BAD_REQUEST,
    });
    expect(node.done).toEqual(["ping"]);
  });

  test("is where the latest command stood that it took or knew, and never where an earlier one did", async () => {
    await using node = new Executing(directory, signer);
    const command = signer.command(1, { idempotencyKey: "k" });
    await node.answer(command);
    const alike = signer.command(3, { idempotencyKey: "k" });
    await node.answer(alike);
    expect(node.journal.position()).toEqual(alike.header);
    await node.answer(command);
    await node.answer(signer.command(4, { idempotencyKey: "k", kind: STOP }));
    expect(node.journal.position()).toEqual(alike.header);
    expect(await node.answer(signer.command(2))).toMatchObject({ status: Ack_Status.BAD_REQUEST });
    expect(node.done).toEqual(["ping"]);
  });

  test("tells nobody of a command that it knows while its disk refuses to keep where that stood", async () => {
    await using node = new Executing(directory, signer);
    await node.answer(signer.command(1, { idempotencyKey: "k" }));
    using beside = new DatabaseSync(join(directory, "journal.db"));
    beside.exec("create trigger full before update on position begin select raise(fail, 'full'); end");
    const alike = signer.command(2, { idempotencyKey: "k" });
    await node.take(alike);
    expect(node.acks).toHaveLength(1);
    beside.exec("drop trigger full");
    expect(await node.answer(alike)).toMatchObject({ status: Ack_Status.OK });
    expect(node.journal.position()).toEqual(alike.header);
  });

  test.each([
    ["another key signed", () => new Signer().command(1), Ack_Status.FORBIDDEN],
    ["is another node's", () => signer.command(1, { nodeId: "n2" }), Ack_Status.FORBIDDEN],
    ["is for another epoch than its key's", () => signer.command(1, { epoch: 2 ** 52 }), Ack_Status.FORBIDDEN],
    ["has another payload than was signed", () => swapped(signer), Ack_Status.FORBIDDEN],
    ["has expired", () => signer.command(1, { notAfter: NOW }), Ack_Status.EXPIRED],
    ["may be begun too late", () => signer.command(1, { notAfter: NOW + 90_000_000 }), Ack_Status.BAD_REQUEST],
    ["nobody here can do", () => signer.command(1, { kind: DRAIN }), Ack_Status.INCAPABLE],
  ])("refuses what %s: nothing is done, nothing is remembered, and it is on record", async (_, make, status) => {
    await using node = new Executing(directory, signer);
    expect(await node.answer(make())).toMatchObject({ status });
    expect(node.done).toEqual([]);
    expect(node.journal.position()).toBeUndefined();
    expect(node.events.map(({ kind }) => kind)).toEqual(["command.refused"]);
  });

  test("refuses what comes after a later one was accepted", async () => {
    await using node = new Executing(directory, signer);
    await node.answer(signer.command(5));
    expect(await node.answer(signer.command(4))).toMatchObject({ status: Ack_Status.BAD_REQUEST });
    expect(await node.answer(signer.command(5))).toMatchObject({ status: Ack_Status.BAD_REQUEST });
    expect(node.done).toEqual(["ping"]);
  });

  test("holds eight at a time and answers the ninth with BUSY", async () => {
    const gate = Promise.withResolvers<void>();
    await using node = new Executing(directory, signer, { ping: () => gate.promise.then(() => ({})) });
    for (let seq = 1; seq <= 8; seq += 1) await node.take(signer.command(seq));
    expect(await node.answer(signer.command(9))).toMatchObject({ status: Ack_Status.BUSY });
    expect(node.journal.executing()).toHaveLength(8);
    gate.resolve();
  });

  test("that died in the middle of a command says so once, and does it no more", async () => {
    const never = new Promise<never>(() => undefined);
    const before = new Executing(directory, signer, { ping: () => never });
    const command = signer.command(1);
    await before.take(command);
    // As a process that was killed leaves it: without an end.
    before.journal[Symbol.dispose]();
    await using after = new Executing(directory, signer);
    after.executor.resend();
    expect(after.acks).toMatchObject([{ status: Ack_Status.OUTCOME_UNKNOWN }]);
    expect(await after.answer(command)).toMatchObject({ status: Ack_Status.OUTCOME_UNKNOWN });
    expect(after.done).toEqual([]);
    after.journal.markReceived(command.header?.commandId ?? "");
    after.acks.length = 0;
    after.executor.resend();
    expect(after.acks).toEqual([]);
  });

  test("does nothing that it cannot put on record", async () => {
    await using node = new Executing(directory, signer);
    const deps = { journal: node.journal, log: LOG, sendAck: (ack: CommandAck) => void node.acks.push(ack) };
    const handlers: CommandHandlers = { ping: async () => ({ message: String(node.done.push("ping")) }) };
    const putOnRecord = () => Promise.reject(new Error("the disk is full"));
    await using unrecorded = new CommandExecutor({ ...deps, handlers, putOnRecord });
    const { keySet } = signer;
    await unrecorded.take(signer.command(1), { orgId: "acme", nodeId: "n1", keySet, check: CHECK, now: () => NOW });
    expect(node.acks).toMatchObject([{ status: Ack_Status.INTERNAL }]);
    expect(node.done).toEqual([]);
    expect(node.journal.position()).toBeUndefined();
  });

  test("whose disk refuses a command's end keeps it until it is written, and only then tells", async () => {
    await using node = new Executing(directory, signer);
    using beside = new DatabaseSync(join(directory, "journal.db"));
    beside.exec("create trigger full before update on commands begin select raise(fail, 'full'); end");
    const answer = node.answer(signer.command(1));
    await expect.poll(() => node.done).toEqual(["ping"]);
    expect(node.acks).toEqual([]);
    beside.exec("drop trigger full");
    expect(await answer).toMatchObject({ status: Ack_Status.OK, message: "ping" });
    expect(node.journal.unreceived()).toHaveLength(1);
    expect(node.done).toEqual(["ping"]);
  });

  test("forgets commands a day after their time, and no sooner", async () => {
    await using node = new Executing(directory, signer);
    const command = signer.command(1);
    await node.answer(command);
    node.journal.forgetBefore(NOW + 60_000);
    expect(node.journal.find(command.header?.commandId ?? "")).toBeDefined();
    node.journal.forgetBefore(NOW + 60_001);
    expect(node.journal.find(command.header?.commandId ?? "")).toBeUndefined();
    expect(await node.answer(command)).toMatchObject({ status: Ack_Status.BAD_REQUEST });
    expect(node.done).toEqual(["ping"]);
  });
});

const DRAIN = { case: "drain", value: { deadline: BigInt(NOW) } } as const;

function swapped(signer: Signer) {
  const command = signer.command(1);
  const payload = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind: STOP }));
  return create(CommandSchema, { ...command, payload });
}
