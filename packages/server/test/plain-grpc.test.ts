import { randomBytes, randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { compressionGzip, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import {
  BeginAuthHandshakeRequestSchema,
  BeginAuthHandshakeResponseSchema,
  ControlStreamRequestSchema,
  NodeAdminService,
  NodeGatewayService,
} from "@gatehouse/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
import { apiKeyOf } from "./host-session.ts";
import { helloOf, SessionUnderTest, StreamUnderTest } from "./stream-under-test.ts";

let database: TestDatabase;
let fleet: FleetUnderTest;
let org: OrgUnderTest;

beforeAll(async () => {
  database = await DATABASES[0].open();
  fleet = await FleetUnderTest.open(database.location);
  org = await fleet.createOrg("acme");
});
afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

const nodeOptions = { rejectUnauthorized: false };
const TRANSPORTS = [
  { how: "plain", make: (baseUrl: string) => createGrpcTransport({ baseUrl, nodeOptions }) },
  { how: "json", make: (baseUrl: string) => createGrpcTransport({ baseUrl, nodeOptions, useBinaryFormat: false }) },
  { how: "connect", make: (baseUrl: string) => createConnectTransport({ baseUrl, nodeOptions, httpVersion: "2" }) },
];

test.each(TRANSPORTS)("a control stream is served alike however it comes: $how", async ({ how, make }) => {
  const session = await SessionUnderTest.open(await org.enroll(`n-${how}`));
  await using stream = await StreamUnderTest.open(session, { transport: make(fleet.server.url) });
  await stream.next("accepted");
  stream.send({ case: "heartbeat", value: { sentAt: 1n, health: 1 } });
  expect(await stream.next("heartbeatAnswer")).toMatchObject({ bundleGeneration: 1n });
});

test.each(TRANSPORTS)("a challenge and a bundle are answered alike however they are asked for: $how", async (one) => {
  const host = await org.enroll(`c-${one.how}`);
  const apiKey = await apiKeyOf(host);
  const session = await SessionUnderTest.open(host, apiKey);
  const client = createClient(NodeGatewayService, one.make(fleet.server.url));
  const { publicKey: identityPublicKey } = host.identity;
  const asked = { apiKey, identityPublicKey, clientNonce: randomBytes(32) };
  expect((await client.beginAuthHandshake(asked)).challenge).toHaveLength(152);
  const wrong = apiKey.replace(/.(?=.{9}$)/, (char) => (char === "A" ? "B" : "A"));
  await expect(client.beginAuthHandshake({ ...asked, apiKey: wrong })).rejects.toMatchObject({ code: 16 });
  const kinds: unknown[] = [];
  const parts = client.fetchBundle({ held: [] }, await session.proofOf("FetchBundle"));
  for await (const { item } of parts) kinds.push(item.case);
  expect(kinds).toEqual(["manifest", "part", "part"]);
});

test("what is asked compressed is refused, plain or not: it would be read before anybody is known", async () => {
  const options = { baseUrl: fleet.server.url, nodeOptions, sendCompression: compressionGzip, compressMinBytes: 0 };
  const host = await org.enroll("zipped");
  const asked = {
    apiKey: await apiKeyOf(host),
    identityPublicKey: host.identity.publicKey,
    clientNonce: randomBytes(32),
  };
  for (const transport of [createGrpcTransport(options), createConnectTransport({ ...options, httpVersion: "2" })]) {
    const client = createClient(NodeGatewayService, transport);
    await expect(client.beginAuthHandshake(asked)).rejects.toMatchObject({ code: Code.Unimplemented });
  }
  for (const encoding of ["gzip", "br"]) {
    const { head, trailers } = await callPlainly("BeginAuthHandshake", encodeEnvelope(1, Buffer.from("packed")), {
      "grpc-encoding": encoding,
    });
    expect([head["grpc-accept-encoding"], trailers]).toEqual([
      "identity",
      expect.objectContaining({ "grpc-status": "12" }),
    ]);
    const unary = await fetchPlainly({ "content-type": "application/proto", "content-encoding": encoding });
    expect([unary[":status"], unary["accept-encoding"]]).toEqual([501, "identity"]);
  }
});

test("a message of who is not known yet may be half a megabyte; who shows a member's key sends four", async () => {
  const make = () => createClient(NodeAdminService, createGrpcTransport({ baseUrl: fleet.server.url, nodeOptions }));
  const nodeIds = Array.from({ length: 20_000 }, () => randomUUID());
  const asked = { nodeIds, payload: new Uint8Array(), idempotencyKey: "k", ttlMs: 60_000n };
  const as = (key: string) => ({ headers: { Authorization: `Bearer ${key}` } });
  const wrong = org.apiKey.replace(/.$/, (char) => (char === "A" ? "B" : "A"));
  await expect(make().sendCommand(asked, as(wrong))).rejects.toMatchObject({ code: Code.ResourceExhausted });
  // It is read, and breaks the bounds of its fields.
  await expect(make().sendCommand(asked, as(org.apiKey))).rejects.toMatchObject({ code: Code.InvalidArgument });
});

test("a large part of a bundle is compressed for callers that take it so, and for no other", async () => {
  const session = await SessionUnderTest.open(await org.enroll("large"));
  const answerWith = async (accepted: object) => {
    const { headers } = await session.proofOf("FetchBundle");
    return callPlainly("FetchBundle", encodeEnvelope(0, new Uint8Array()), { ...headers, ...accepted });
  };
  const [packed, whole] = [await answerWith({ "grpc-accept-encoding": "identity, gzip" }), await answerWith({})];
  expect([packed.head["grpc-encoding"], whole.head["grpc-encoding"]]).toEqual(["gzip", undefined]);
  expect(packed.body.length).toBeLessThan(whole.body.length);
});

test("a challenge is answered though each byte of its request comes in a frame of its own", async () => {
  const host = await org.enroll("dripping");
  const asked = {
    apiKey: await apiKeyOf(host),
    identityPublicKey: host.identity.publicKey,
    clientNonce: randomBytes(32),
  };
  const message = create(BeginAuthHandshakeRequestSchema, asked);
  const bytes = encodeEnvelope(0, toBinary(BeginAuthHandshakeRequestSchema, message));
  const frames = Array.from(bytes, (byte) => Uint8Array.of(byte));
  const { trailers, body } = await callPlainly("BeginAuthHandshake", frames, {});
  expect(trailers).toMatchObject({ "grpc-status": "0" });
  expect(fromBinary(BeginAuthHandshakeResponseSchema, body.subarray(5)).challenge).toHaveLength(152);
});

const ONE = encodeEnvelope(0, new Uint8Array());
const NOT_ONE = [
  { what: "nothing", bytes: new Uint8Array(), status: "3" },
  { what: "two messages", bytes: Buffer.concat([ONE, ONE]), status: "3" },
  { what: "a message that is cut off", bytes: Uint8Array.of(0, 0, 0, 0, 9, 1), status: "3" },
  { what: "a compressed message that names no compression", bytes: encodeEnvelope(1, new Uint8Array(8)), status: "3" },
  { what: "bytes that are no message", bytes: encodeEnvelope(0, Uint8Array.of(0xff, 0xff)), status: "3" },
  { what: "a message that breaks its rules", bytes: ONE, status: "3" },
  { what: "a message over the limit", bytes: new Uint8Array(4_200_000), status: "8" },
];

test.each(NOT_ONE)("a plain call that holds $what is refused", async ({ bytes, status }) => {
  expect((await callPlainly("BeginAuthHandshake", bytes, {})).trailers).toMatchObject({ "grpc-status": status });
});

test("a bundle is refused without a proof before its request is read, and nothing of it is sent", async () => {
  const { trailers, body } = await callPlainly("FetchBundle", Uint8Array.of(0, 0, 0, 0, 9, 1), {});
  expect(trailers).toMatchObject({ "grpc-status": "16", "gatehouse-problem": "auth.refused" });
  expect(body).toHaveLength(0);
});

/** That a refusal comes whole every time, with what ends the stream right behind it. */
const ROUNDS = 50;
const SERVICE = "/gatehouse.gateway.v1.NodeGatewayService";
const CALL = {
  ":method": "POST",
  ":path": `${SERVICE}/ControlStream`,
  "content-type": "application/grpc+proto",
  te: "trailers",
};
const HELLO = toBinary(ControlStreamRequestSchema, create(ControlStreamRequestSchema, { message: helloOf() }));
const BROKEN = [
  { what: "a compressed message that names no compression", bytes: encodeEnvelope(1, HELLO), status: "3" },
  { what: "bytes that are no message", bytes: encodeEnvelope(0, new Uint8Array([0xff, 0xff])), status: "3" },
  { what: "a message that is cut off", bytes: encodeEnvelope(0, HELLO).subarray(0, 20), status: "3" },
  { what: "a message over the limit", bytes: new Uint8Array([0, 0x7f, 0xff, 0xff, 0xff, 0]), status: "8" },
  { what: "nothing", bytes: new Uint8Array(), status: "9" },
];

test.each(BROKEN)("a plain stream that begins with $what is refused, and its node is not connected", async (one) => {
  const session = await SessionUnderTest.open(await org.enroll(`b-${randomUUID().slice(0, 8)}`));
  const { headers } = await session.proofOf("ControlStream");
  expect(await answerTo(one.bytes, headers)).toMatchObject({ "grpc-status": one.status });
  const { node } = await org.nodes.getNode({ node: session.host.name }, org.headers);
  expect(node).toMatchObject({ isConnected: false, softwareVersion: "" });
});

test("a plain stream without a proof is refused before anything is read", async () => {
  const trailers = await answerTo(encodeEnvelope(0, HELLO), {});
  expect(trailers).toMatchObject({ "grpc-status": "16", "gatehouse-problem": "auth.refused" });
});

test("a plain stream that was refused is over, though its caller ends nothing", async () => {
  const client = connect(fleet.server.url, nodeOptions);
  try {
    for (let round = 0; round < ROUNDS; round += 1) {
      const stream = client.request(CALL).resume();
      const [trailers] = await Promise.all([once(stream, "trailers"), once(stream, "close")]);
      expect(trailers[0]).toMatchObject({ "gatehouse-problem": "auth.refused" });
    }
  } finally {
    client.destroy();
  }
});

/** The trailers of a control stream on which only this is sent. */
async function answerTo(bytes: Uint8Array, headers: Readonly<Record<string, string>>): Promise<object> {
  return (await callPlainly("ControlStream", bytes, headers)).trailers;
}

/** The head of what comes back for a call without a body, with these headers. */
async function fetchPlainly(headers: Readonly<Record<string, string>>): Promise<IncomingHttpHeaders> {
  const client = connect(fleet.server.url, nodeOptions);
  try {
    const stream = client.request({ ...CALL, ":path": `${SERVICE}/BeginAuthHandshake`, ...headers });
    stream.end("packed");
    const [head] = (await once(stream, "response")) as [IncomingHttpHeaders];
    return head;
  } finally {
    client.destroy();
  }
}

/** What comes back for a call that holds only this, each part in a frame of its own. */
async function callPlainly(
  method: string,
  frames: Uint8Array | readonly Uint8Array[],
  headers: Readonly<Record<string, string>>,
) {
  const client = connect(fleet.server.url, nodeOptions);
  try {
    const stream = client.request({ ...CALL, ":path": `${SERVICE}/${method}`, ...headers });
    let head: IncomingHttpHeaders = {};
    const body: Buffer[] = [];
    stream.once("response", (answer) => {
      head = answer;
    });
    stream.on("data", (chunk: Buffer) => void body.push(chunk));
    const trailers = new Promise<object>((resolve, reject) => {
      stream.once("trailers", resolve);
      stream.once("error", reject);
    });
    const all = [frames].flat();
    for (const frame of all.slice(0, -1)) await new Promise((resolve) => stream.write(frame, resolve));
    stream.end(all.at(-1));
    return { trailers: await trailers, head, body: Buffer.concat(body) };
  } finally {
    client.destroy();
  }
}
