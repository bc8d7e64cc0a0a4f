import { Readable } from "node:stream";
import type { DescService } from "@bufbuild/protobuf";
import { Code, createClient } from "@connectrpc/connect";
import { base64url, makeUuid, systemClock, systemRandom } from "@gatehouse/core";
import { ScriptedBrowser } from "@gatehouse/testbed";
import {
  AuditAdminService,
  CredentialAdminService,
  NodeAdminService,
  OrgAdminService,
  PolicyAdminService,
} from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeSetupCode } from "../src/orgs/setup-codes.ts";
import { MIGRATIONS } from "../src/store/migrations/plan.ts";
import { connectStore } from "../src/store/open-store.ts";
import type { Tables } from "../src/store/tables.ts";
import { PING } from "./commands-under-test.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, hash, type OrgUnderTest } from "./fleet-under-test.ts";
import { storedRows } from "./stored-rows.ts";

/** Names of things of one organisation: another's, or nobody's. */
interface Ids {
  readonly node: string;
  readonly nodeName: string;
  readonly enrollment: string;
  readonly member: string;
  readonly apiKey: string;
  readonly session: string;
  readonly batch: string;
  readonly command: string;
  readonly policy: string;
}

type Ask = (ids: Ids, stranger: OrgUnderTest) => object;
/** A call that names nothing of an organisation: there is nothing to compare. */
const NAMES_NOTHING = "names nothing";
type Row<S extends { readonly method: object }> = { readonly [M in keyof S["method"]]: Ask | typeof NAMES_NOTHING };

/** A well-formed request of every call, by the things that it names. A call without a row is a type error. */
const NODES: Row<typeof NodeAdminService> = {
  createEnrollmentCode: ({ nodeName }) => ({ name: nodeName }),
  listEnrollmentCodes: NAMES_NOTHING,
  cancelEnrollment: ({ enrollment }) => ({ enrollmentId: enrollment }),
  listNodes: ({ nodeName }) => ({ nameContains: nodeName, pageToken: nodeName }),
  getNode: ({ node }) => ({ node }),
  confirmNode: ({ node, enrollment }, stranger) => ({
    nodeId: node,
    enrollmentId: enrollment,
    fingerprint: "00000-00000-00000-00000",
    roster: stranger.nextRoster([]),
  }),
  revokeNode: ({ node }) => ({ nodeId: node }),
  replaceNode: ({ node }) => ({ nodeId: node }),
  transferNode: ({ node }) => ({ fromNodeId: node, toNodeId: node }),
  cordonNode: ({ node }) => ({ nodeId: node, cordoned: true }),
  labelNode: ({ node }) => ({ nodeId: node, labels: { zone: "a" }, removedLabels: ["tier"] }),
  rotateNodeApiKey: ({ node }) => ({ nodeId: node }),
  acceptNode: ({ node }) => ({ nodeId: node }),
  sendCommand: ({ node }) => ({ nodeIds: [node], payload: PING, idempotencyKey: "k", ttlMs: 60_000n }),
  listCommands: ({ batch }) => ({ batchId: batch }),
  cancelCommand: ({ command }) => ({ commandId: command }),
  watchEvents: NAMES_NOTHING,
  attachRun: ({ node }) => ({ message: { case: "open", value: { nodeId: node, runId: "r1" } } }),
  listRuns: ({ node }) => ({ nodeId: node }),
  queryTelemetry: ({ node }) => ({ nodeId: node, from: 0n, to: 1n }),
};
const ORGS: Row<typeof OrgAdminService> = {
  createOrg: NAMES_NOTHING,
  getOrg: NAMES_NOTHING,
  putRoster: NAMES_NOTHING,
  listMembers: NAMES_NOTHING,
  addMember: NAMES_NOTHING,
  setMemberRole: ({ member }) => ({ name: member, role: 1 }),
  removeMember: ({ member }) => ({ name: member }),
  inviteMember: ({ member }) => ({ name: member }),
  listSessions: ({ member }) => ({ member }),
  endSessions: ({ member, session }) => ({ member, sessionId: session }),
  listApiKeys: NAMES_NOTHING,
  createApiKey: NAMES_NOTHING,
  revokeApiKey: ({ apiKey }) => ({ id: apiKey }),
};
const CREDENTIALS: Row<typeof CredentialAdminService> = {
  putCredential: NAMES_NOTHING,
  listCredentials: NAMES_NOTHING,
  getCredential: ({ policy }) => ({ name: policy }),
  revokeCredential: ({ policy }) => ({ name: policy }),
};
const POLICIES: Row<typeof PolicyAdminService> = {
  putPolicy: NAMES_NOTHING,
  listPolicies: NAMES_NOTHING,
  getPolicy: ({ policy }) => ({ name: policy }),
  listPolicyVersions: ({ policy }) => ({ name: policy }),
  assignPolicy: ({ policy }) => ({ name: policy, labels: { zone: "a" } }),
  deletePolicy: ({ policy }) => ({ name: policy }),
};
const AUDIT: Row<typeof AuditAdminService> = {
  exportAudit: ({ node }) => ({ nodeId: node }),
  proveAuditEntry: NAMES_NOTHING,
};

const SERVICES: readonly (readonly [DescService, Readonly<Record<string, Ask | typeof NAMES_NOTHING>>])[] = [
  [NodeAdminService, NODES],
  [OrgAdminService, ORGS],
  [CredentialAdminService, CREDENTIALS],
  [PolicyAdminService, POLICIES],
  [AuditAdminService, AUDIT],
];
/** What the server writes by itself when its time has come: heads over entries that are there. */
const KEPT_BY_TIME: ReadonlySet<string> = new Set(["audit_logs", "audit_heads"]);

const CALLS = SERVICES.flatMap(([service, rows]) =>
  Object.entries(rows).flatMap(([method, ask]) => (ask === NAMES_NOTHING ? [] : [{ service, method, ask }])),
);

describe.each(DATABASES)("on $name", ({ open }) => {
  let database: TestDatabase;
  let fleet: FleetUnderTest;
  let owner: OrgUnderTest;
  let stranger: OrgUnderTest;
  let foreign: Ids;

  beforeAll(async () => {
    database = await open();
    fleet = await FleetUnderTest.open(database.location, { hasPasswords: true });
    owner = await fleet.createOrg("acme");
    const host = await owner.enroll("theirs");
    await owner.org.addMember({ name: "eve", role: 1 }, owner.headers);
    await owner.createCode("waiting");
    const { enrollments } = await owner.nodes.listEnrollmentCodes({}, owner.headers);
    const { apiKeys } = await owner.org.listApiKeys({}, owner.headers);
    const sent = await owner.nodes.sendCommand(
      { nodeIds: [host.registered.nodeId], payload: PING, idempotencyKey: "own", ttlMs: 60_000n },
      owner.headers,
    );
    const policy = new TextEncoder().encode('{"mode":"permissive","rules":[]}');
    await owner.policies.putPolicy({ name: "theirs", policy }, owner.headers);
    const { code } = await owner.org.inviteMember({ name: "eve" }, owner.headers);
    const password = { next: "four unrelated words here", again: "four unrelated words here" };
    await new ScriptedBrowser().visit(`${fleet.server.url}/join`, { form: { code, ...password } });
    const { sessions } = await owner.org.listSessions({ member: "eve" }, owner.headers);
    foreign = {
      node: host.registered.nodeId,
      nodeName: "theirs",
      enrollment: enrollments[0]?.id ?? "",
      member: "eve",
      apiKey: apiKeys[0]?.id ?? "",
      session: sessions[0]?.id ?? "",
      batch: sent.batchId,
      command: sent.commands[0]?.commandId ?? "",
      policy: "theirs",
    };
    stranger = await secondOrg();
  });

  afterAll(async () => {
    await fleet[Symbol.asyncDispose]();
    await database[Symbol.asyncDispose]();
  });

  test.each(CALLS)("$method answers another organisation's things as things that are nowhere", async (call) => {
    const before = await everything(owner.orgId);
    const known = await answer(call, foreign);
    expect(known, "the request is well-formed").not.toContain(`"code":${Code.InvalidArgument},`);
    for (let round = 0; round < 3; round += 1) expect(await answer(call, nowhere())).toBe(known);
    expect(await everything(owner.orgId)).toBe(before);
  });

  /** The whole of an answer, with what was named struck out: a failure in all that a caller sees of it. */
  async function answer({ service, method, ask }: (typeof CALLS)[number], ids: Ids): Promise<string> {
    const client = createClient(service, fleet.transport) as Record<
      string,
      (request: object, options: object) => unknown
    >;
    let text: string;
    try {
      const isStreamed = service.method[method]?.methodKind === "bidi_streaming";
      const asked = ask(ids, stranger);
      const called = client[method]?.(isStreamed ? Readable.from([asked]) : asked, stranger.headers);
      const whole =
        Symbol.asyncIterator in Object(called) ? await Array.fromAsync(called as AsyncIterable<unknown>) : await called;
      text = JSON.stringify(whole, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    } catch (failure) {
      const { message, code, metadata } = failure as { message: string; code: number; metadata: Headers };
      text = JSON.stringify({ message, code, problem: metadata.get("gatehouse-problem") });
    }
    const named = Object.values(ids).reduce((rest, id) => rest.replaceAll(id, "…"), text);
    // What the server makes anew for each call: ids, times and codes.
    return named.replace(/[0-9a-f]{8}-[0-9a-f-]{27}|gh[a-z]_[A-Za-z0-9_.-]+|\d{13}/g, "…");
  }

  async function everything(orgId: string): Promise<string> {
    const tables = MIGRATIONS.flatMap(({ tenantTables }) => tenantTables).filter((table) => !KEPT_BY_TIME.has(table));
    const rows: unknown[] = [];
    for (const table of tables) rows.push([table, await storedRows(database.location, orgId, table as keyof Tables)]);
    return base64url(hash(JSON.stringify(rows)));
  }

  async function secondOrg(): Promise<OrgUnderTest> {
    await using store = await connectStore(database.location, fleet.clock);
    const made = Promise.withResolvers<string>();
    const keep = async (code: string) => made.resolve(code);
    await makeSetupCode({ store, random: systemRandom, serverIdentityKey: fleet.serverKey }, keep);
    return await fleet.createOrg("stranger", await made.promise);
  }
});

/** Ids of the right form that are nobody's. */
function nowhere(): Ids {
  const id = () => makeUuid(systemClock.now(), systemRandom);
  const name = () =>
    `x${base64url(systemRandom.bytes(6))
      .toLowerCase()
      .replace(/[^a-z0-9]/g, "0")}`;
  const [member, session] = [name(), id()];
  return {
    node: id(),
    nodeName: name(),
    enrollment: id(),
    member,
    session,
    apiKey: id(),
    batch: id(),
    command: id(),
    policy: name(),
  };
}
