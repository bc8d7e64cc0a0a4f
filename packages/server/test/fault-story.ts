import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Readable } from "node:stream";
import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { newOrgTuple, parseCode } from "@gatehouse/core";
import { openLogSource, verifyLog } from "@gatehouse/kit";
import {
  Ack_Status,
  AuditAdminService,
  type CommandHeader,
  CommandPayloadSchema,
  OrgAdminService,
  SentCommand_State,
  type UploadAuditRequest,
  UploadEventsRequestSchema,
  UploadTelemetryRequestSchema,
} from "@gatehouse/wire";
import { expect } from "vitest";
import { MAX_SLICE_ENTRIES } from "../src/audit/store-node-log.ts";
import { FleetUnderTest, HostUnderTest, hash, makePair, OrgUnderTest, signWith } from "./fleet-under-test.ts";
import { LogUnderTest } from "./log-under-test.ts";
import type { ServerProcess } from "./server-process.ts";
import { helloOf, SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

const STEP_MS = 15_000;
const COMMANDED_RUN = { runId: "r2", command: ["true"] };
const PAYLOADS = [
  { kind: { case: "startRun", value: COMMANDED_RUN } },
  { kind: { case: "stopRun", value: { runId: COMMANDED_RUN.runId } } },
  { kind: { case: "ping", value: {} } },
] as const;
/** Three transactions. */
const OWN_ENTRIES = 2 * MAX_SLICE_ENTRIES + 1;
const VALUES = [11, 12, 13, 14];
const STATES = [2, 3];

/**
 * Everything that an operator and a host do with a server, one step after the other. What was answered is remembered;
 * what failed is done again as clients do it: with the same keys, codes and numbers.
 */
export class FaultStory {
  readonly #server: ServerProcess;
  readonly #setupCode: string;
  readonly #orgKey = makePair("ed25519");
  readonly #orgEncryption = makePair("x25519");
  readonly #done = new Set<string>();
  readonly #commands = PAYLOADS.map((kind) => ({
    key: randomUUID(),
    payload: toBinary(CommandPayloadSchema, create(CommandPayloadSchema, kind)),
    id: "",
    batchId: "",
  }));
  /** Which command each number was given to. */
  readonly #numbers = new Map<string, string>();
  readonly #executed = new Set<string>();
  readonly #received = new Set<string>();
  readonly #codes = new Map<string, string>();
  #isCancelling = false;
  #fleet: FleetUnderTest | undefined;
  #org: OrgUnderTest | undefined;
  #host: HostUnderTest | undefined;
  #roster: ReturnType<OrgUnderTest["nextRoster"]> | undefined;
  #session: SessionUnderTest | undefined;
  #lastCommand: CommandHeader | undefined;
  #ownLog: readonly UploadAuditRequest[] | undefined;

  constructor(server: ServerProcess, setupCode: string) {
    this.#server = server;
    this.#setupCode = setupCode;
  }

  readonly #steps: Readonly<Record<string, () => Promise<void>>> = {
    organisation: () => this.#createOrg(),
    code: () => this.#createCode("n1"),
    claim: () => this.host.register(this.#code("n1")),
    confirmation: () => this.#confirm(),
    session: async () => {
      this.#session = await SessionUnderTest.open(this.host);
    },
    commands: () => this.#sendCommands(),
    outcomes: () => this.#takeCommands(),
    events: () => this.#uploadEvents(),
    telemetry: () => this.#uploadTelemetry(),
    "audit log": () => this.#copyLog(),
    "second code": () => this.#createCode("n2"),
    cancelled: () => this.#cancelCodes(),
    revoked: () => this.#revoke(),
  };

  /** Goes on from the first step that was not answered. Fails as that step does. */
  async play(beforeStep: (name: string) => Promise<void> = async () => undefined): Promise<void> {
    for (const [name, step] of Object.entries(this.#steps)) {
      if (this.#done.has(name)) continue;
      await beforeStep(name);
      await within(name, step());
      this.#done.add(name);
    }
  }

  /** Once the story came to its end: everything is there, once. */
  async expectAll(): Promise<void> {
    expect([...this.#done]).toEqual(Object.keys(this.#steps));
    await this.#expectCommands();
    await this.#expectReports();
    await this.#expectLog();
  }

  async #expectCommands(): Promise<void> {
    const org = this.org;
    for (const { id, batchId } of this.#commands) {
      const { commands } = await org.nodes.listCommands({ batchId }, org.headers);
      expect(commands).toMatchObject([{ commandId: id, state: SentCommand_State.OK }]);
    }
    const { runs } = await org.nodes.listRuns({}, org.headers);
    const commanded = runs.filter(({ runId }) => runId === COMMANDED_RUN.runId);
    expect(commanded).toMatchObject([{ nodeId: this.host.registered.nodeId }]);
    expect([...this.#executed].sort()).toEqual(this.#commands.map(({ id }) => id).sort());
  }

  async #expectReports(): Promise<void> {
    const org = this.org;
    const { nodeId } = this.host.registered;
    const query = { nodeId, name: "gate.requests", from: 0n, to: BigInt(Date.now() + 86_400_000) };
    const { samples, gaps } = await org.nodes.queryTelemetry(query, org.headers);
    expect(samples.map(({ value }) => value).toSorted((a, b) => a - b)).toEqual(VALUES);
    expect(gaps).toEqual([]);
    const stop = new AbortController();
    const seen: string[] = [];
    const cursors: bigint[] = [];
    const watching = org.nodes.watchEvents({ cursor: 1n }, { ...org.headers, signal: stop.signal, timeoutMs: STEP_MS });
    await (async () => {
      for await (const { cursor, kind } of watching) {
        cursors.push(cursor);
        seen.push(kind);
        if (kind === "run.exited") stop.abort();
      }
    })().catch((failure: unknown) => {
      if (!stop.signal.aborted) throw new Error(`events: ${seen.join(", ")}`, { cause: failure });
    });
    expect(seen.filter((kind) => kind.startsWith("run."))).toEqual(["run.running", "run.exited"]);
    expect(cursors).toEqual(cursors.map((_, at) => BigInt(at + 2)));
  }

  async #expectLog(): Promise<void> {
    const text = await this.#exportLog();
    const kinds = [...text.matchAll(/"kind":"([a-z_.]+)"/g)].map(([, kind = ""]) => kind);
    const count = (kind: string) => kinds.filter((one) => one === kind).length;
    for (const kind of ["org.created", "node.registered", "node.confirmed", "node.revoked"]) {
      expect(`${kind} ${count(kind)}`).toBe(`${kind} 1`);
    }
    // A code whose making was not answered was made all the same; all but the one that was claimed were cancelled.
    expect(count("enrollment.cancelled")).toBe(count("enrollment.code_created") - 1);
    expect(count("command.issued")).toBe(3);
    expect(count("command.finished")).toBe(3);
    const copied = await this.#exportLog(this.host.registered.nodeId);
    expect([...copied.matchAll(/"seq":/g)]).toHaveLength(OWN_ENTRIES);
  }

  /** As it is verified. */
  async #exportLog(nodeId = ""): Promise<string> {
    const { fleet, headers } = this.org;
    const decoder = new TextDecoder();
    let text = "";
    const audit = createClient(AuditAdminService, fleet.transport);
    for await (const { lines } of audit.exportAudit({ nodeId }, headers))
      text += decoder.decode(lines, { stream: true });
    const path = join(this.#server.root, "export.jsonl");
    writeFileSync(path, text);
    expect((await verifyLog(await openLogSource(path))).unprotected).toBe(0);
    return text;
  }

  async #createOrg(): Promise<void> {
    this.#fleet = FleetUnderTest.reach(this.#server.url, join(this.#server.stateDir, "server"));
    const { transport, serverKey } = this.#fleet;
    const own = { setupCode: this.#setupCode, name: "acme", owner: "ada" };
    const keys = { orgKey: this.#orgKey.publicKey, orgEncryptionKey: this.#orgEncryption.publicKey };
    const codeSha256 = hash(parseCode("ghs", this.#setupCode).secret);
    const tuple = newOrgTuple({ ...own, ...keys, serverIdentityKey: serverKey, codeSha256 });
    const proof = signWith(this.#orgKey, tuple);
    const made = await createClient(OrgAdminService, transport).createOrg({ ...own, ...keys, proof });
    const parts = { orgKey: this.#orgKey, encryption: this.#orgEncryption };
    this.#org = new OrgUnderTest(this.#fleet, { ...made, ...parts });
    this.#host = new HostUnderTest(this.#org, "n1");
  }

  async #createCode(name: string): Promise<void> {
    this.#codes.set(name, await this.org.createCode(name));
  }

  async #confirm(): Promise<void> {
    const host = this.host;
    const org = this.org;
    this.#roster ??= org.nextRoster([host.rosterNode]);
    const own = { ...host.registered, fingerprint: host.fingerprint, roster: this.#roster };
    await org.nodes.confirmNode(own, org.headers);
  }

  async #sendCommands(): Promise<void> {
    const org = this.org;
    const { nodeId } = this.host.registered;
    for (const command of this.#commands) {
      const asked = { nodeIds: [nodeId], payload: command.payload, idempotencyKey: command.key };
      const { batchId } = await org.nodes.sendCommand(asked, org.headers);
      const { commands } = await org.nodes.listCommands({ batchId }, org.headers);
      expect(commands).toHaveLength(1);
      const id = commands[0]?.commandId ?? "";
      if (command.id !== "") expect(id).toBe(command.id);
      Object.assign(command, { id, batchId });
    }
  }

  /** As a node does it: what it did it does not do again, and says so again until it is told that it was heard. */
  async #takeCommands(): Promise<void> {
    const { session } = this;
    const hello = helloOf(randomUUID(), this.#lastCommand === undefined ? {} : { lastCommand: this.#lastCommand });
    await using stream = await StreamUnderTest.open(session, { hello });
    for (const commandId of this.#executed) this.#acknowledge(stream, commandId);
    for (let at = 0; this.#received.size < this.#commands.length; at += 1) {
      const message = await stream.nth(at);
      if (message.case === "ackReceived") this.#received.add(message.value.commandId);
      if (message.case === "command") this.#takeCommand(stream, message.value.header);
    }
  }

  #takeCommand(stream: StreamUnderTest, header: CommandHeader | undefined): void {
    if (header === undefined) throw new Error("a command without a header");
    const { commandId, epoch, seq } = header;
    const number = `${epoch}/${seq}`;
    expect(this.#numbers.get(number) ?? commandId).toBe(commandId);
    expect([...this.#received]).not.toContain(commandId);
    this.#numbers.set(number, commandId);
    this.#executed.add(commandId);
    this.#lastCommand = header;
    this.#acknowledge(stream, commandId);
  }

  #acknowledge(stream: StreamUnderTest, commandId: string): void {
    if (!this.#received.has(commandId)) stream.send({ case: "ack", value: { commandId, status: Ack_Status.OK } });
  }

  async #uploadEvents(): Promise<void> {
    const { session } = this;
    const { gateway } = session.host.org.fleet;
    for (const [offset, state] of STATES.entries()) {
      const own = { runId: "r1", state, project: "p", agent: "a", driver: "bubblewrap", createdAt: 1n };
      const batch = { source: "runs", offset: BigInt(offset), capturedAt: BigInt(Date.now()) };
      const payload = { case: "run", value: own } as const;
      const sent = oneOf(create(UploadEventsRequestSchema, { ...batch, payload }));
      const { acknowledged } = await gateway.uploadEvents(sent, await session.proofOf("UploadEvents"));
      expect(acknowledged.runs).toBeGreaterThanOrEqual(BigInt(offset));
    }
  }

  async #uploadTelemetry(): Promise<void> {
    const { session } = this;
    const { gateway } = session.host.org.fleet;
    for (const [offset, value] of VALUES.entries()) {
      const sample = { name: "gate.requests", runId: "", time: BigInt(Date.now()), value };
      const batch = { source: "gate", offset: BigInt(offset), capturedAt: BigInt(Date.now()) };
      const payload = { case: "samples" as const, value: { samples: [sample] } };
      const sent = oneOf(create(UploadTelemetryRequestSchema, { ...batch, payload }));
      const { acknowledged } = await gateway.uploadTelemetry(sent, await session.proofOf("UploadTelemetry"));
      expect(acknowledged.gate).toBeGreaterThanOrEqual(BigInt(offset));
    }
  }

  /** As a node does it: it asks first what is there. */
  async #copyLog(): Promise<void> {
    this.#ownLog ??= await this.#writeLog();
    const { session } = this;
    const upload = async (items: readonly UploadAuditRequest[]) => {
      const sent = Readable.from(items);
      const { gateway } = session.host.org.fleet;
      return Number((await gateway.uploadAudit(sent, await session.proofOf("UploadAudit"))).acknowledgedSize);
    };
    if ((await upload([])) < OWN_ENTRIES) expect(await upload(this.#ownLog)).toBe(OWN_ENTRIES);
  }

  async #writeLog(): Promise<readonly UploadAuditRequest[]> {
    await using log = await LogUnderTest.open(this.host.identity, this.host.registered.nodeId);
    await log.write(OWN_ENTRIES);
    return await log.items(0);
  }

  async #cancelCodes(): Promise<void> {
    const { nodes, headers } = this.org;
    const { enrollments } = await nodes.listEnrollmentCodes({}, headers);
    if (!this.#isCancelling) expect(enrollments.map(({ name }) => name)).toContain("n2");
    this.#isCancelling = true;
    for (const { id } of enrollments) await nodes.cancelEnrollment({ enrollmentId: id }, headers);
    expect((await nodes.listEnrollmentCodes({}, headers)).enrollments).toEqual([]);
  }

  async #revoke(): Promise<void> {
    const org = this.org;
    const { nodeId } = this.host.registered;
    const revoked = org.nodes.revokeNode({ nodeId }, org.headers);
    await revoked.catch(async (failure: unknown) => {
      // The answer to the first call may have been lost.
      const { nodes } = await org.nodes.listNodes({}, org.headers);
      if (nodes.some((one) => one.id === nodeId)) throw failure;
    });
  }

  private get session(): SessionUnderTest {
    if (this.#session === undefined) throw new Error("there is no session yet");
    return this.#session;
  }

  private get org(): OrgUnderTest {
    if (this.#org === undefined) throw new Error("there is no organisation yet");
    return this.#org;
  }

  private get host(): HostUnderTest {
    if (this.#host === undefined) throw new Error("there is no host yet");
    return this.#host;
  }

  #code(name: string): string {
    return this.#codes.get(name) ?? "";
  }
}

async function* oneOf<T>(message: T) {
  yield message;
}

/** A step that waits for what does not come has failed. */
async function within(name: string, step: Promise<void>): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`"${name}" waited ${STEP_MS} ms in vain`)), STEP_MS);
  try {
    await Promise.race([step, promise]);
  } finally {
    clearTimeout(timer);
  }
}
