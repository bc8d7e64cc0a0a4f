import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { encodeEnvelope } from "@connectrpc/connect/protocol";
import { compressionGzip, createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { ControlStreamRequestSchema } from "@gatehouse/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
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
  {
    how: "compressed",
    make: (baseUrl: string) =>
      createGrpcTransport({ baseUrl, nodeOptions, sendCompression: compressionGzip, compressMinBytes: 0 }),
  },
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

/** That a refusal comes whole every time, with what ends the stream right behind it. */
const ROUNDS = 50;
const CALL = {
  ":method": "POST",
  ":path": "/gatehouse.gateway.v1.NodeGatewayService/ControlStream",
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
  const client = connect(fleet.server.url, nodeOptions);
  try {
    const stream = client.request({ ...CALL, ...headers });
    stream.resume();
    const trailers = new Promise<object>((resolve, reject) => {
      stream.once("trailers", resolve);
      stream.once("error", reject);
    });
    stream.end(bytes);
    return await trailers;
  } finally {
    client.destroy();
  }
}
