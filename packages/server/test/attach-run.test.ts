import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { MessageQueue, systemRandom } from "@gatehouse/core";
import { eventually } from "@gatehouse/testbed";
import {
  type AttachRunRequest,
  AttachRunRequestSchema,
  type AttachRunResponse,
  CommandPayloadSchema,
  type OpenRunStream,
  Role,
  RunOutput_Stream,
  type RunStreamRequest,
  RunStreamRequestSchema,
  type RunStreamResponse,
} from "@gatehouse/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createSetupCode } from "../src/index.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest, refused } from "./fleet-under-test.ts";
import { SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

let database: TestDatabase;
let fleet: FleetUnderTest;
let org: OrgUnderTest;

beforeAll(async () => {
  const opened = await DATABASES[0]?.open();
  if (opened === undefined) throw new Error("there is no database");
  database = opened;
  fleet = await FleetUnderTest.open(database.location);
  org = await fleet.createOrg("acme");
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

test("output passes within the credit that was given, and the run's end ends both streams", async () => {
  await using node = await openNode("a1");
  const operator = attach(node.nodeId);
  const run = await node.join(await node.asked());
  operator.send({ case: "outputCreditBytes", value: 1_000n });
  run.send({ case: "output", value: { stream: RunOutput_Stream.STDERR, offset: 0n, data: Buffer.from("hello") } });
  run.send({ case: "exited", value: { code: 3 } });
  expect(await operator.ended).toBeUndefined();
  expect(operator.received.map(({ case: kind }) => kind)).toEqual(["opened", "output", "exited"]);
  expect(await run.ended).toBeUndefined();
});

test("who sends more than there is credit for loses the stream, and nothing of it is passed on", async () => {
  await using node = await openNode("a2");
  const operator = attach(node.nodeId);
  const run = await node.join(await node.asked());
  run.send({ case: "output", value: { stream: RunOutput_Stream.STDOUT, offset: 0n, data: Buffer.from("too much") } });
  expect(await operator.ended).toEqual(refused("stream.broken"));
  expect(operator.received.map(({ case: kind }) => kind)).toEqual(["opened"]);
  await run.ended;
});

test("another node's stream for an attachment is refused, and the operator hears nothing of it", async () => {
  await using node = await openNode("a3");
  await using other = await openNode("a4");
  const operator = attach(node.nodeId);
  const asked = await node.asked();
  const stolen = await other.join(asked);
  expect(await stolen.ended).toEqual(refused("runs.away"));
  expect(operator.received).toEqual([]);
  const run = await node.join(asked);
  run.send({ case: "exited", value: { code: 0 } });
  expect(await operator.ended).toBeUndefined();
});

test("a node whose stream is elsewhere is not asked; when its stream ends, whoever is attached is told", async () => {
  const { nodeId } = (await org.enroll("a5")).registered;
  expect(await attach(nodeId).ended).toEqual(refused("runs.away"));
  const node = await openNode("a6");
  const operator = attach(node.nodeId);
  const run = await node.join(await node.asked());
  await node[Symbol.asyncDispose]();
  expect(await operator.ended).toEqual(refused("runs.away"));
  await run.ended;
});

test("a later one who writes to a run takes its input over", async () => {
  await using node = await openNode("a7");
  const first = attach(node.nodeId, { wantsInput: true });
  await node.join(await node.asked());
  const second = attach(node.nodeId, { wantsInput: true });
  expect(await first.ended).toEqual(refused("runs.taken_over"));
  const run = await node.join(await node.asked());
  run.send({ case: "exited", value: { code: 0 } });
  expect(await second.ended).toBeUndefined();
});

test("who only looks at a run ends no input of it", async () => {
  await using node = await openNode("a12");
  const operator = attach(node.nodeId);
  const run = await node.join(await node.asked());
  operator.send({ case: "inputEnd", value: {} });
  expect(await operator.ended).toEqual(refused("stream.broken"));
  await run.ended;
  expect(run.received).toEqual([]);
});

test("a viewer attaches to nothing, and no command is given", async () => {
  await using node = await openNode("a8");
  const { apiKey } = await org.org.createApiKey({ label: "v", role: Role.VIEWER, ttlMs: 0n }, org.headers);
  const headers = { headers: { Authorization: `Bearer ${apiKey}` } };
  expect(await attach(node.nodeId, {}, headers).ended).toEqual(refused("auth.forbidden"));
  expect(node.stream.count("command")).toBe(0);
});

test("that a run has a terminal, and the sizes of its window, pass; a window without a row ends the stream", async () => {
  await using node = await openNode("a11");
  const operator = attach(node.nodeId);
  const run = await node.join(await node.asked(), { hasTerminal: true });
  operator.send({ case: "resize", value: { rows: 40, columns: 100 } });
  await eventually("the size passes", () => run.received.length > 0);
  operator.send({ case: "resize", value: { rows: 0, columns: 100 } });
  expect(await operator.ended).toMatchObject({ code: Code.InvalidArgument });
  await run.ended;
  expect(operator.received).toMatchObject([{ case: "opened", value: { hasTerminal: true, takesInput: true } }]);
  expect(run.received).toMatchObject([{ case: "resize", value: { rows: 40, columns: 100 } }]);
});

test("another organisation's owner attaches to nothing and runs no command there: the node is none for them", async () => {
  await using node = await openNode("a9");
  const config = { directory: fleet.directory, store: database.location };
  const other = await fleet.createOrg(
    "globex",
    await createSetupCode(config, { clock: fleet.clock, random: systemRandom }),
  );
  expect(await attach(node.nodeId, {}, other.headers).ended).toEqual(refused("nodes.not_found"));
  await expect(other.nodes.sendCommand(execIn(node.nodeId), other.headers)).rejects.toEqual(refused("nodes.not_found"));
  expect(node.stream.count("command")).toBe(0);
});

test("a viewer runs no command in a run, and none is given", async () => {
  await using node = await openNode("a10");
  const { apiKey } = await org.org.createApiKey({ label: "v", role: Role.VIEWER, ttlMs: 0n }, org.headers);
  const headers = { headers: { Authorization: `Bearer ${apiKey}` } };
  await expect(org.nodes.sendCommand(execIn(node.nodeId), headers)).rejects.toEqual(refused("auth.forbidden"));
  expect(node.stream.count("command")).toBe(0);
});

/** A further command in the run `r1` of a node. */
function execIn(nodeId: string) {
  const value = { runId: "r1", execId: "e1", command: ["id"] };
  const payload = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind: { case: "execInRun", value } }));
  return { nodeIds: [nodeId], payload, idempotencyKey: nodeId, ttlMs: 60_000n };
}

type Said = NonNullable<MessageInitShape<typeof AttachRunRequestSchema>["message"]>;
type NodeSaid = NonNullable<MessageInitShape<typeof RunStreamRequestSchema>["message"]>;

/** An operator who attaches to the run `r1` of a node. */
function attach(nodeId: string, more: { readonly wantsInput?: boolean } = {}, options = org.headers) {
  const outgoing = new MessageQueue<AttachRunRequest>(100);
  const send = (message: Said) => void outgoing.push(create(AttachRunRequestSchema, { message }));
  send({ case: "open", value: { nodeId, runId: "r1", ...more } });
  const received: AttachRunResponse["message"][] = [];
  const answers = org.nodes.attachRun(outgoing, { ...options, timeoutMs: 0 });
  return { send, received, ended: readAll(answers, ({ message }) => void received.push(message)) };
}

async function openNode(name: string) {
  const session = await SessionUnderTest.open(await org.enroll(name));
  const stream = await StreamUnderTest.open(session);
  await stream.next("accepted");
  const { nodeId } = session.host.registered;
  return {
    nodeId,
    stream,
    /** What the next command asks for. */
    asked: async (): Promise<OpenRunStream> => {
      const { kind } = fromBinary(CommandPayloadSchema, (await stream.next("command")).payload);
      if (kind.case !== "openRunStream") throw new Error(`it asks for ${kind.case}`);
      return kind.value;
    },
    join: async ({ runId, attachmentId }: OpenRunStream, more: { readonly hasTerminal?: boolean } = {}) => {
      const outgoing = new MessageQueue<RunStreamRequest>(100);
      const send = (message: NodeSaid) => void outgoing.push(create(RunStreamRequestSchema, { message }));
      send({ case: "open", value: { runId, attachmentId, takesInput: true, ...more } });
      const received: RunStreamResponse["message"][] = [];
      const options = { ...(await session.proofOf("RunStream")), timeoutMs: 0 };
      const answers = fleet.gateway.runStream(outgoing, options);
      return { send, received, ended: readAll(answers, ({ message }) => void received.push(message)) };
    },
    [Symbol.asyncDispose]: () => stream[Symbol.asyncDispose](),
  };
}

/** Resolves with why a stream failed; `undefined` where it just ended. */
async function readAll<T>(answers: AsyncIterable<T>, take: (answer: T) => void): Promise<unknown> {
  try {
    for await (const answer of answers) take(answer);
    return undefined;
  } catch (failure) {
    return failure;
  }
}
