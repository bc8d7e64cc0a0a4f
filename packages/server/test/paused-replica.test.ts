import { randomUUID } from "node:crypto";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { systemClock } from "@gatehouse/core";
import { eventually, openPostgres } from "@gatehouse/testbed";
import { Ack_Status, CommandPayloadSchema, Goaway_Reason, SentCommand_State } from "@gatehouse/wire";
import { sql } from "kysely";
import { expect, test } from "vitest";
import { connectStore } from "../src/store/open-store.ts";
import type { Store } from "../src/store/store.ts";
import { FleetUnderTest, OrgUnderTest } from "./fleet-under-test.ts";
import { ServerProcess } from "./server-process.ts";
import { SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

const PING = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind: { case: "ping", value: {} } }));

/** Two servers, processes of their own, on one PostgreSQL. */
async function startReplicas() {
  const stack = new AsyncDisposableStack();
  const postgres = stack.use(await openPostgres());
  const [a, b] = [stack.use(new ServerProcess()), stack.use(new ServerProcess())];
  const databaseUrlFile = join(a.root, "database-url");
  writeFileSync(databaseUrlFile, postgres.url(), { mode: 0o600 });
  await a.start({ databaseUrlFile });
  const [ofA, ofB] = [a, b].map(({ stateDir }) => join(stateDir, "server")) as [string, string];
  mkdirSync(ofB, { mode: 0o700 });
  for (const part of ["identity.key", "keys"]) {
    cpSync(join(ofA, part), join(ofB, part), { recursive: true, preserveTimestamps: true });
  }
  await b.start({ databaseUrlFile, url: a.url });
  const signal = (name: "SIGSTOP" | "SIGCONT") => void process.kill(a.pid, name);
  const resume = () => signal("SIGCONT");
  const store = stack.use(await connectStore({ kind: "postgres", url: postgres.url() }, systemClock));
  // In the midst of a transaction its connection would be taken from it, and the next call there would fail for that.
  const pause = async () => {
    await eventually("no transaction is open", async () => (await openTransactions(store)) === 0);
    signal("SIGSTOP");
  };
  stack.defer(resume);
  const setupCode = readFileSync(join(a.stateDir, "setup-code"), "utf8").trim();
  const org = await FleetUnderTest.reach(a.url, ofA).createOrg("acme", setupCode);
  const viaB = new OrgUnderTest(FleetUnderTest.reach(b.url, ofB), org);
  return { pause, resume, org, viaB, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

/** Of others than whoever asks. */
async function openTransactions({ shared }: Store): Promise<number> {
  const { rows } = await sql<{ readonly open: number }>`select count(*)::int as open from pg_stat_activity
    where xact_start is not null and backend_type = 'client backend' and pid <> pg_backend_pid()`.execute(shared);
  return rows[0]?.open ?? 0;
}

test("a replica that stood still while its node went to another sends that node nothing more, and believes nothing it says", async () => {
  await using world = await startReplicas();
  const { pause, resume, org, viaB } = world;
  const session = await SessionUnderTest.open(await org.enroll("n1"));
  const { nodeId } = session.host.registered;
  const send = async ({ nodes, headers }: OrgUnderTest) => {
    const { batchId } = await nodes.sendCommand(
      { nodeIds: [nodeId], payload: PING, idempotencyKey: randomUUID() },
      headers,
    );
    const { commands } = await nodes.listCommands({ batchId }, headers);
    return { batchId, commandId: commands[0]?.commandId ?? "" };
  };
  await using stale = await StreamUnderTest.open(session);
  const first = await send(org);
  expect((await stale.next("command")).header).toMatchObject({ commandId: first.commandId });

  const before = stale.received.length;
  await pause();
  // What comes while it stands still is the first that it reads.
  stale.send({ case: "ack", value: { commandId: first.commandId, status: Ack_Status.INTERNAL } });
  await using stream = await StreamUnderTest.open(session, { transport: viaB.fleet.transport });
  const second = await send(viaB);
  for (const { commandId } of [first, second]) {
    expect((await stream.next("command")).header).toMatchObject({ commandId });
  }
  for (const { commandId } of [first, second]) {
    stream.send({ case: "ack", value: { commandId, status: Ack_Status.OK } });
  }
  for (const { commandId } of [first, second]) expect(await stream.next("ackReceived")).toMatchObject({ commandId });
  resume();

  expect(await stale.next("goaway")).toMatchObject({ reason: Goaway_Reason.REPLACED });
  expect(stale.received.slice(before).map((message) => message.case)).toEqual(["goaway"]);
  const third = await send(org);
  expect((await stream.next("command")).header).toMatchObject({ commandId: third.commandId });
  for (const { batchId } of [first, second]) {
    const { commands } = await org.nodes.listCommands({ batchId }, org.headers);
    expect(commands).toMatchObject([{ state: SentCommand_State.OK }]);
  }
});
