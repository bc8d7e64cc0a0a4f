import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { Code, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { runProcess } from "@gatehouse/testbed";
import {
  Health,
  SERVICES,
  ServerReflection,
  type ServerReflectionRequest,
  HealthCheckResponse_ServingStatus as Status,
} from "@gatehouse/wire";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest, refused } from "./fleet-under-test.ts";
import { openSession } from "./host-session.ts";

/** Another implementation of gRPC and of its reflection: a client in Go. */
const BUF = fileURLToPath(
  new URL(`../../../node_modules/@bufbuild/buf-${process.platform}-${process.arch}/bin/buf`, import.meta.url),
);

const directory = mkdtempSync(join(tmpdir(), "gatehouse-reflection-"));
let database: TestDatabase;
let fleet: FleetUnderTest;
let org: OrgUnderTest;

beforeAll(async () => {
  const [sqlite] = DATABASES;
  database = await sqlite.open();
  fleet = await FleetUnderTest.open(database.location);
  org = await fleet.createOrg("acme");
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

/** Calls as a person with `buf curl` does; the key comes from a file. */
function curl(args: readonly string[], apiKey?: string) {
  const headers = join(directory, "headers");
  writeFileSync(headers, apiKey === undefined ? "" : `Authorization: Bearer ${apiKey}\n`, { mode: 0o600 });
  const own = ["--protocol", "grpc", "--insecure", "--reflect-header", `@${headers}`, "--header", `@${headers}`];
  return runProcess(BUF, ["curl", ...own, ...args], { env: { ...process.env, BUF_CACHE_DIR: directory } });
}

function grpcTransport() {
  return createGrpcTransport({ baseUrl: fleet.server.url, nodeOptions: { rejectUnauthorized: false } });
}

test("an operator's tool finds every service and calls one that it knew nothing of", async () => {
  const listed = await curl([fleet.server.url, "--list-services"], org.apiKey);
  expect(listed.stderr).toBe("");
  expect(listed.stdout.trim().split("\n").toSorted()).toEqual(Object.keys(SERVICES).toSorted());
  const path = "gatehouse.admin.v1.OrgAdminService/GetOrg";
  const called = await curl([`${fleet.server.url}/${path}`, "--data", "{}"], org.apiKey);
  expect(JSON.parse(called.stdout)).toMatchObject({ name: "acme", orgId: org.orgId, role: "ROLE_OWNER" });
});

test("who is no operator learns nothing by reflection: without a key, with a wrong one, as a node", async () => {
  for (const key of [undefined, `ghk_00000000_${"A".repeat(43)}`]) {
    const { code, stdout, stderr } = await curl([fleet.server.url, "--list-services"], key);
    expect(code).not.toBe(0);
    expect(`${stdout}${stderr}`).not.toContain("gatehouse.admin");
    expect(stderr).toContain("not authenticated");
  }
  const host = await org.enroll("n1");
  const { headersFor } = await openSession(host);
  const node = await headersFor("ControlStream");
  await expect(ask({ case: "listServices", value: "" }, node)).rejects.toEqual(refused("auth.refused"));
});

type Asked = ServerReflectionRequest["messageRequest"];

async function ask(messageRequest: Asked, headers = org.headers) {
  const sent = (async function* () {
    yield { messageRequest };
  })();
  const client = createClient(ServerReflection, fleet.transport);
  for await (const { messageResponse } of client.serverReflectionInfo(sent, headers)) return messageResponse;
  throw new Error("no answer");
}

test("files are found by name, by symbol and by extension; what is not there is said to be not there", async () => {
  const file = { case: "fileDescriptorResponse", value: { fileDescriptorProto: [expect.any(Uint8Array)] } };
  expect(await ask({ case: "fileByFilename", value: "gatehouse/admin/v1/nodes.proto" })).toMatchObject(file);
  const method = "gatehouse.admin.v1.NodeAdminService.ListNodes";
  expect(await ask({ case: "fileContainingSymbol", value: method })).toMatchObject(file);
  const options = "google.protobuf.FieldOptions";
  const numbers = await ask({ case: "allExtensionNumbersOfType", value: options });
  if (numbers.case !== "allExtensionNumbersResponse") throw new Error("no numbers");
  expect(numbers.value.extensionNumber.length).toBeGreaterThan(0);
  const [extensionNumber = 0] = numbers.value.extensionNumber;
  const extension = {
    $typeName: "grpc.reflection.v1.ExtensionRequest",
    containingType: options,
    extensionNumber,
  } as const;
  expect(await ask({ case: "fileContainingExtension", value: extension })).toMatchObject(file);
  const absent = { case: "errorResponse", value: { errorCode: Code.NotFound } };
  expect(await ask({ case: "fileByFilename", value: "../../etc/passwd" })).toMatchObject(absent);
  expect(await ask({ case: "fileContainingSymbol", value: "constructor" })).toMatchObject(absent);
  expect(await ask({ case: "allExtensionNumbersOfType", value: "no.such.Message" })).toMatchObject(absent);
});

test("anyone may ask whether the server serves, over each protocol; of a service that is not there nobody learns more", async () => {
  const node = { rejectUnauthorized: false };
  const baseUrl = fleet.server.url;
  const transports = [
    grpcTransport(),
    createConnectTransport({ baseUrl, httpVersion: "1.1", nodeOptions: node }),
    createGrpcWebTransport({ baseUrl, httpVersion: "1.1", nodeOptions: node }),
  ];
  for (const transport of transports) {
    const health = createClient(Health, transport);
    expect(await health.check({})).toMatchObject({ status: Status.SERVING });
    const service = "gatehouse.gateway.v1.NodeGatewayService";
    expect(await health.check({ service })).toMatchObject({ status: Status.SERVING });
    await expect(health.check({ service: "constructor" })).rejects.toMatchObject({ code: Code.NotFound });
  }
});

test("a watcher hears the state at once, and that a service is not there; one network may not hold more streams than are meant for it", async () => {
  const health = createClient(Health, fleet.transport);
  // A connection carries no more streams than the server lets anyone hold: the watchers have one of their own.
  const watchers = createClient(Health, grpcTransport());
  const stop = new AbortController();
  const first = async (service: string) => {
    for await (const { status } of health.watch({ service }, { signal: stop.signal })) return status;
    return undefined;
  };
  const watch = (service: string) => watchers.watch({ service }, { signal: stop.signal })[Symbol.asyncIterator]();
  const open = ["no.such.Service", ...Array.from({ length: 31 }, () => "")].map(watch);
  try {
    const [none, ...said] = await Promise.all(open.map((one) => one.next()));
    expect(none?.value).toMatchObject({ status: Status.SERVICE_UNKNOWN });
    for (const { value } of said) expect(value).toMatchObject({ status: Status.SERVING });
    await expect(first("")).rejects.toEqual(refused("server.busy"));
    expect(await health.check({})).toMatchObject({ status: Status.SERVING });
  } finally {
    stop.abort();
    await Promise.allSettled(open.map((one) => one.next()));
  }
});
