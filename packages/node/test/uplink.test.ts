import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import { bundleTuple, makeUuid, systemClock, systemRandom } from "@gatehouse/core";
import { AuditLog, createLog, openSigningKey, SegmentFolder, type SigningKey, verifySignature } from "@gatehouse/kit";
import { BundleHeaderSchema, createMessageCheck, FreshnessSchema, HeartbeatSchema } from "@gatehouse/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Reports } from "../src/reports/reports.ts";
import type { FleetCourier } from "../src/uplink/fleet-courier.ts";
import { FleetFollower } from "../src/uplink/fleet-follower.ts";
import { HeadWitness } from "../src/uplink/head-witness.ts";
import { makeHeartbeat } from "../src/uplink/heartbeat.ts";
import type { NodeSession } from "../src/uplink/node-session.ts";

const check = createMessageCheck();
const log = createLog({ level: "error", format: "json", write: () => undefined });
let directory: string;
let key: SigningKey;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-heartbeat-"));
  key = await openSigningKey(join(directory, "identity.key"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

function openAuditLog(folder: SegmentFolder): Promise<AuditLog> {
  const newLogId = () => makeUuid(systemClock.now(), systemRandom);
  return AuditLog.open({ store: folder, key, clock: systemClock, newLogId, onChange: () => undefined });
}

test("a heartbeat says how much waits for the server and where the node's own audit log stands, once it stands somewhere", async () => {
  const auditFolder = join(directory, "audit");
  const figures = async () => [{ name: "gate.connections", value: 1 }];
  await using reports = Reports.open({ stateDir: directory, log, clock: systemClock, runs: () => [], sample: figures });
  const putOnRecord = async () => undefined;
  const witness = new HeadWitness({ stateDir: directory, auditFolder, log, putOnRecord });
  const parts = { witness, isWell: async () => true, runCount: () => 3, spoolDepth: () => reports.spoolDepth };
  const first = await makeHeartbeat({ ...parts, fleet: { generation: 7, refused: [] } });
  expect(first).toMatchObject({ runCount: 3, spoolDepth: 0n, bundleGeneration: 7n });
  expect(first.auditHead).toBeUndefined();
  await reports.collect();
  await mkdir(auditFolder);
  await using audit = await openAuditLog(await SegmentFolder.open(auditFolder));
  await audit.append({ time: 1, run: null, agent: null, actor: "node", kind: "gate.started", data: {} });
  await audit.signHead();
  // An id or name that is none is the server's doing: what the server would not take is not said to it.
  const why = { code: "credentials.refused", reason: "Nobody who may has signed it." } as const;
  const id = "0190a1b2-0000-7000-8000-000000000000";
  const refused = [...new Array(70).fill({ ...why, id, name: null }), { ...why, id: "x", name: "gh" }].reverse();
  const second = await makeHeartbeat({ ...parts, fleet: { generation: 7, refused } });
  check(HeartbeatSchema, second);
  expect(second.refusedCredentials).toHaveLength(64);
  expect(second.refusedCredentials[0]).toMatchObject({ id, name: "", problemCode: "credentials.refused" });
  expect(second.spoolDepth).toBeGreaterThan(0n);
  expect(second.auditHead).toMatchObject({ size: 1n, root: expect.any(Uint8Array) });
  expect(second.auditLog).toBe(audit.log);
});

test("the header of the served bundle is what the server signed", async () => {
  const manifest = "a manifest\n";
  const state = { orgId: "o1", nodeId: "n1", epoch: 2, generation: 9 };
  const hash = new Uint8Array(createHash("sha256").update(manifest).digest());
  const signature = key.sign(bundleTuple(state, 1_000, hash));
  const bundle = { epoch: 2, generation: 9, issuedAt: 1_000, manifest, keyId: "k1", signature };
  const courier = { status: async () => ({ bundle }) } as unknown as FleetCourier;
  const follower = new FleetFollower({ courier, log, session: () => undefined, onApplied: () => undefined });
  expect(follower.header).toBeUndefined();
  await follower.begin(2);
  const header = create(BundleHeaderSchema, follower.header);
  check(BundleHeaderSchema, header);
  const signed = bundleTuple(state, Number(header.issuedAt), header.manifestSha256);
  expect(verifySignature(key.publicKey, signed, header.signature)).toBe(true);
  expect(header).toMatchObject({ epoch: 2n, generation: 9n, keyId: "k1" });
});

test("a generation of an earlier epoch is not said to a server that counts anew, nor kept from following it", async () => {
  const courier = { status: async () => ({ bundle: { epoch: 1, generation: 9 } }) } as unknown as FleetCourier;
  const follower = new FleetFollower({ courier, log, session: () => undefined, onApplied: () => undefined });
  await follower.begin(1);
  expect(follower.generation).toBe(9);
  await follower.begin(2);
  expect([follower.generation, follower.servedEpoch]).toEqual([0, 1]);
});

test("a newer generation is fetched also when the word of it comes while another is passed on", async () => {
  const session = { gateway: {} } as unknown as NodeSession;
  let generation = 1;
  const served = () => ({ bundle: { generation } });
  const fetched = Promise.withResolvers<number>();
  const courier = {
    status: async () => served(),
    hear: async () => follower.want(2),
    refresh: async () => {
      generation = 2;
      fetched.resolve(generation);
      return served();
    },
  } as unknown as FleetCourier;
  const follower = new FleetFollower({ courier, log, session: () => session, onApplied: () => undefined });
  await follower.begin(0);
  follower.hear(create(FreshnessSchema, { generation: 1n }));
  expect(await fetched.promise).toBe(2);
});
