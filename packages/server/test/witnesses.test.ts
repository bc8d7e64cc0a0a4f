import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createClient } from "@connectrpc/connect";
import { base64url, rootsOfConsistency, type SignedHead, witnessBytes } from "@gatehouse/core";
import { lastHeadOf, openLogSource, sha256, verifyLog } from "@gatehouse/kit";
import { runProcess } from "@gatehouse/testbed";
import { AuditAdminService, type HeartbeatAnswer } from "@gatehouse/wire";
import { sql } from "kysely";
import { afterAll, describe, expect, test } from "vitest";
import { coverOrgLog } from "../src/audit/keep-heads.ts";
import { openServerKeys } from "../src/keys/server-keys.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { type HostUnderTest, refused, signWith } from "./fleet-under-test.ts";
import { openSession } from "./host-session.ts";
import { LogUnderTest } from "./log-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { auditEntries, storedRows } from "./stored-rows.ts";

const PYTHON = fileURLToPath(new URL("../../../spec/audit/verify_audit.py", import.meta.url));
const directory = mkdtempSync(join(tmpdir(), "gatehouse-witnesses-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** Later than the time by which a heartbeat may be late. */
const LATER_MS = 60_000;

function toWire({ size, time, root, keyId, signature }: SignedHead) {
  return { root, keyId, signature, size: BigInt(size), time: BigInt(time) };
}

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);
  let names = 0;

  async function enrolled() {
    names += 1;
    const host = await on.org.enroll(`w${names}`);
    const { headersFor } = await openSession(host);
    const { nodeId } = host.registered;
    const beat = async (more: object): Promise<HeartbeatAnswer> => {
      const heartbeat = { sentAt: BigInt(Date.now() + LATER_MS), health: 1, ...more };
      const said = await on.fleet.gateway.uploadHeartbeat({ heartbeat }, await headersFor("UploadHeartbeat"));
      if (said.answer === undefined) throw new Error("no answer");
      return said.answer;
    };
    const stands = async ({ folder, log }: LogUnderTest) => {
      const head = await lastHeadOf(folder);
      return beat({ auditLog: log.log, ...(head && { auditHead: toWire(head) }) });
    };
    const upload = async (log: LogUnderTest, from: number) => {
      const items = await log.items(from);
      const sent = (async function* () {
        yield* items;
      })();
      return Number((await on.fleet.gateway.uploadAudit(sent, await headersFor("UploadAudit"))).acknowledgedSize);
    };
    const fault = async () => (await on.org.nodes.getNode({ node: nodeId }, on.org.headers)).node?.auditFault;
    const openLog = () => LogUnderTest.open(host.identity, nodeId);
    return { host, nodeId, beat, stands, upload, fault, openLog };
  }

  async function countOnRecord(kind: string, nodeId: string): Promise<number> {
    const entries = await auditEntries(on.database.location, on.org.orgId);
    return entries.filter((entry) => entry.kind === kind && (entry as { node?: string }).node === nodeId).length;
  }

  async function exported(): Promise<string> {
    const audit = createClient(AuditAdminService, on.fleet.transport);
    const decoder = new TextDecoder();
    let text = "";
    for await (const { lines } of audit.exportAudit({}, on.org.headers))
      text += decoder.decode(lines, { stream: true });
    return text;
  }

  function writeExport(name: string, text: string): string {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  }

  const auditKey = async () => {
    const own = { now: () => on.fleet.clock.now(), randomBytes: () => new Uint8Array(32) };
    return (await openServerKeys(on.fleet.directory, own)).working.audit.key;
  };

  /** Signs what stands in the organisation's log. */
  async function cover(): Promise<SignedHead> {
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const head = await coverOrgLog(on.org.orgId, { store, key: await auditKey() });
    if (head === undefined) throw new Error("the log is empty");
    return head;
  }

  function countersigned(host: HostUnderTest, head: SignedHead) {
    const countersignature = signWith(host.identity, witnessBytes(host.registered.nodeId, on.org.orgId, head));
    return { orgHeadSeen: { head: toWire(head), countersignature } };
  }

  test("a node whose log ends before a head that it signed is noticed once, and shown until the log is there again", async () => {
    const { nodeId, stands, fault, openLog, host } = await enrolled();
    await using log = await openLog();
    await log.write(4);
    expect(await stands(log)).toMatchObject({ auditLogSeen: nodeId, auditHeadSeen: { size: 4n } });
    await using cut = await LogUnderTest.open(host.identity, nodeId);
    await cut.write(2);
    const told = await stands(cut);
    expect(told).toMatchObject({ auditLogSeen: nodeId, auditHeadSeen: { size: 4n } });
    await stands(cut);
    expect(await fault()).toBe("rewound");
    expect(await countOnRecord("node.audit_rewound", nodeId)).toBe(1);
    const events = await storedRows(on.database.location, on.org.orgId, "events");
    expect(events.filter((row) => JSON.stringify(row).includes("node.audit_rewound"))).toHaveLength(1);
    await stands(log);
    expect(await fault()).toBe("");
    expect(await countOnRecord("node.audit_resumed", nodeId)).toBe(1);
  });

  test("a heartbeat that was overtaken by a newer one accuses nobody", async () => {
    const { nodeId, beat, stands, fault, openLog } = await enrolled();
    await using log = await openLog();
    await log.write(1);
    const early = await lastHeadOf(log.folder);
    const sentAt = BigInt(Date.now());
    await log.write(1);
    await stands(log);
    await beat({ sentAt, auditLog: nodeId, auditHead: early && toWire(early) });
    expect(await fault()).toBe("");
  });

  test("another log in the place of one that was seen is refused, also when its copy had not come that far", async () => {
    const { nodeId, stands, upload, fault, openLog, host } = await enrolled();
    await using log = await openLog();
    await log.write(3);
    await stands(log);
    await using other = await LogUnderTest.open(host.identity, nodeId);
    await other.write(5, "request.denied");
    // Longer than what was seen: nothing of it alone shows that it is another.
    await stands(other);
    await expect(upload(other, 0)).rejects.toEqual(refused("audit.forked"));
    expect(await fault()).toBe("forked");
    expect(await countOnRecord("node.audit_forked", nodeId)).toBe(1);
    expect(await upload(log, 0)).toBe(3);
    expect(await fault()).toBe("");
  });

  test("a head of the same size and another tree, one that was never copied, and one that another key signed are noticed", async () => {
    const { nodeId, stands, upload, fault, openLog, host, beat } = await enrolled();
    await using log = await openLog();
    await log.write(2);
    await log.write(2);
    await upload(log, 0);
    await using same = await LogUnderTest.open(host.identity, nodeId);
    await same.write(4, "request.denied");
    await stands(same);
    expect(await fault()).toBe("forked");
    await stands(log);
    expect(await fault()).toBe("");
    await using between = await LogUnderTest.open(host.identity, nodeId);
    await between.write(3);
    await stands(between);
    expect(await fault()).toBe("forked");
    const stranger = await enrolled();
    await using theirs = await stranger.openLog();
    await theirs.write(9);
    const head = await lastHeadOf(theirs.folder);
    await beat({ auditLog: nodeId, auditHead: head && toWire(head) });
    expect(await fault()).toBe("unproven");
    expect(await stranger.fault()).toBe("");
  });

  test("what a node says of itself is shown: health, what waits there, since when its bundle is served", async () => {
    const { nodeId, beat } = await enrolled();
    const before = on.fleet.clock.now();
    await beat({ health: 2, spoolDepth: 4_096n, bundleGeneration: 0n });
    const { node } = await on.org.nodes.getNode({ node: nodeId }, on.org.headers);
    expect(node).toMatchObject({ health: 2, spoolDepth: 4_096n, auditFault: "" });
    expect(Number(node?.appliedAt)).toBeGreaterThanOrEqual(before);
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const tallies = await store.inOrg(on.org.orgId, ({ nodes }) => nodes.tally());
    const online = tallies.find(({ liveness }) => liveness === "online");
    expect(online).toMatchObject({ spoolBytes: 4_096, nodes: expect.any(Number), behind: expect.any(Number) });
  });

  test("the credentials that a node refuses are shown, and are an event when they change", async () => {
    const { nodeId, beat } = await enrolled();
    const refused = { id: nodeId, name: "gh", problemCode: "credentials.refused" };
    for (const refusedCredentials of [[], [refused], [refused], []]) {
      await beat({ refusedCredentials });
      const found = await on.org.nodes.getNode({ node: nodeId }, on.org.headers);
      expect(found.node?.refusedCredentials).toMatchObject(refusedCredentials);
    }
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const told = await store.inOrg(on.org.orgId, ({ events }) => events.after(0, 1_000));
    const own = told.filter((event) => event.nodeId === nodeId && event.kind === "node.credentials_refused");
    expect(own.map(({ data }) => JSON.parse(data).credentials)).toEqual([
      [{ id: nodeId, name: "gh", code: "credentials.refused" }],
      [],
    ]);
  });

  test("each head continues the one that a node named, by a proof that anyone can check", async () => {
    const { beat, host } = await enrolled();
    const first = await cover();
    await on.org.enroll(`w${names}-more`);
    await cover();
    const { orgAuditHead, orgConsistency, orgHeadBefore } = await beat(countersigned(host, first));
    if (orgAuditHead === undefined) throw new Error("no head");
    expect(Number(orgHeadBefore)).toBe(first.size);
    expect(Number(orgAuditHead.size)).toBeGreaterThan(first.size);
    const claim = {
      before: first.size,
      rootBefore: first.root,
      size: Number(orgAuditHead.size),
      proof: orgConsistency,
    };
    const roots = rootsOfConsistency(sha256, claim);
    expect(roots?.before).toEqual(first.root);
    expect(roots?.after).toEqual(orgAuditHead.root);
  });

  test("a proof is the same when the peaks of the head before were not kept", async () => {
    const { beat, host } = await enrolled();
    const first = await cover();
    await on.org.enroll(`w${names}-more`);
    await cover();
    await using store = await connectStore(on.database.location, on.fleet.clock);
    await store.shared.transaction().execute(async (tx) => {
      if (on.database.location.kind === "postgres") {
        await sql`select set_config('gatehouse.org_id', ${on.org.orgId}, true)`.execute(tx);
      }
      await sql`update audit_heads set peaks = null where log_id = ${on.org.orgId}`.execute(tx);
    });
    const { orgAuditHead, orgConsistency: proof } = await beat(countersigned(host, first));
    const size = Number(orgAuditHead?.size);
    const roots = rootsOfConsistency(sha256, { before: first.size, rootBefore: first.root, size, proof });
    expect(roots?.after).toEqual(orgAuditHead?.root);
  });

  test("a countersignature stands beside its head in an export, and two verifiers count it and refuse a made-up one", async () => {
    const { beat, host, nodeId } = await enrolled();
    await beat(countersigned(host, await cover()));
    const text = await exported();
    const path = writeExport("witnessed.jsonl", text);
    const verified = await verifyLog(await openLogSource(path));
    expect([...verified.witnesses.keys()]).toContain(base64url(host.identity.publicKey));
    const told = await runProcess("python3", ["-B", PYTHON, path]);
    expect(told).toMatchObject({ code: 0, stdout: expect.stringContaining(`; witnesses: ${verified.witnesses.size}`) });
    const signature = /"node":"NODE","signature":"(.)/.source.replace("NODE", nodeId);
    const changed = text.replace(
      new RegExp(signature),
      (found) => `${found.slice(0, -1)}${found.endsWith("A") ? "B" : "A"}`,
    );
    const forged = writeExport("forged.jsonl", changed);
    await expect(verifyLog(await openLogSource(forged))).rejects.toMatchObject({ code: "audit.tampered" });
    expect((await runProcess("python3", ["-B", PYTHON, forged])).code).toBe(4);
    const moved = writeExport("moved.jsonl", text.replaceAll(`"node":"${nodeId}"`, `"node":"${on.org.orgId}"`));
    await expect(verifyLog(await openLogSource(moved))).rejects.toMatchObject({ code: "audit.tampered" });
    expect((await runProcess("python3", ["-B", PYTHON, moved])).code).toBe(4);
  });

  test("a countersignature by another key is not heard", async () => {
    const [one, other] = [await enrolled(), await enrolled()];
    const head = await cover();
    const { orgHeadSeen } = countersigned(one.host, head);
    await other.beat({ orgHeadSeen });
    const found = await on.org.nodes.getNode({ node: other.nodeId }, on.org.headers);
    expect(found.audit).toBeUndefined();
    const rows = await storedRows(on.database.location, on.org.orgId, "audit_witnesses");
    expect(JSON.stringify(rows)).not.toContain(other.nodeId);
  });

  test("a server whose log was put back learns it from a node that saw more, once, and vouches for none of it", async () => {
    const { beat, host, nodeId } = await enrolled();
    const seen = await cover();
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const before = await store.inOrg(on.org.orgId, ({ auditLogs }) =>
      auditLogs.newestHead(on.org.orgId, seen.size - 1),
    );
    if (before === undefined) throw new Error("one head alone");
    const peaks = await store.inOrg(on.org.orgId, ({ auditLogs }) => auditLogs.peaks(on.org.orgId, before.size));
    await store.shared.transaction().execute(async (tx) => {
      if (on.database.location.kind === "postgres") {
        await sql`select set_config('gatehouse.org_id', ${on.org.orgId}, true)`.execute(tx);
      }
      await sql`delete from audit_entries where log_id = ${on.org.orgId} and seq >= ${before.size}`.execute(tx);
      await sql`delete from audit_heads where log_id = ${on.org.orgId} and size > ${before.size}`.execute(tx);
      const rest = { size: before.size, peaks: Buffer.concat(peaks ?? []) };
      await tx.updateTable("audit_logs").set(rest).where("log_id", "=", on.org.orgId).execute();
    });
    const answer = await beat(countersigned(host, seen));
    expect(answer.orgConsistency).toEqual([]);
    expect(Number(answer.orgAuditHead?.size)).toBe(before.size);
    await beat(countersigned(host, seen));
    expect(await countOnRecord("audit.contradicted", nodeId)).toBe(1);
    expect(await exported()).not.toContain(base64url(host.identity.publicKey));
  });
});
