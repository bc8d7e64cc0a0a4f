import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { openLogSource, verifyLog } from "@gatehouse/kit";
import { AuditAdminService, type UploadAuditRequest } from "@gatehouse/wire";
import { sql } from "kysely";
import { afterAll, describe, expect, test } from "vitest";
import { type CopiedItem, type CopyDeps, copyNodeLog } from "../src/audit/copy-node-log.ts";
import { forgetLeftCopies, LEFT_AFTER_MS } from "../src/audit/forget-left-copies.ts";
import { MAX_SLICE_ENTRIES } from "../src/audit/store-node-log.ts";
import { readAuditItems } from "../src/rpc/services/read-audit-items.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { type HostUnderTest, refused } from "./fleet-under-test.ts";
import { openSession } from "./host-session.ts";
import { LogUnderTest, toItem } from "./log-under-test.ts";
import { orgOnDatabase } from "./org-on-database.ts";

const directory = mkdtempSync(join(tmpdir(), "gatehouse-copy-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let folders = 0;

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);
  let names = 0;

  async function enrolled() {
    names += 1;
    const host = await on.org.enroll(`c${names}`);
    const { headersFor } = await openSession(host);
    const upload = async (items: readonly UploadAuditRequest[]) => {
      const sent = (async function* () {
        yield* items;
      })();
      return Number((await on.fleet.gateway.uploadAudit(sent, await headersFor("UploadAudit"))).acknowledgedSize);
    };
    const log = await LogUnderTest.open(host.identity, host.registered.nodeId);
    return { host, upload, log, nodeId: host.registered.nodeId };
  }

  async function exported({ registered: { nodeId } }: HostUnderTest): Promise<string> {
    const audit = createClient(AuditAdminService, on.fleet.transport);
    const decoder = new TextDecoder();
    let text = "";
    for await (const { lines } of audit.exportAudit({ nodeId }, on.org.headers)) text += decoder.decode(lines);
    folders += 1;
    const path = join(directory, `${folders}.jsonl`);
    writeFileSync(path, text);
    return path;
  }

  async function forks(nodeId: string): Promise<number> {
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const range = { from: 0, to: Number.MAX_SAFE_INTEGER };
    const all = await store.inOrg(on.org.orgId, ({ auditLogs }) => auditLogs.entries(on.org.orgId, range, 10_000));
    return all.filter(({ text }) => text.includes("node.audit_forked") && text.includes(nodeId)).length;
  }

  test("a node's log is copied as it goes on, and an export of the copy is what the node signed", async () => {
    const { host, upload, log } = await enrolled();
    await using _ = log;
    expect(await upload([])).toBe(0);
    await log.write(20);
    expect(await upload(await log.items(0))).toBe(20);
    expect(await upload([])).toBe(20);
    await log.write(30);
    expect(await upload(await log.items(20))).toBe(50);
    const verified = await verifyLog(await openLogSource(await exported(host)), { pinned: host.identity.publicKey });
    expect(verified).toMatchObject({ entries: 50, unprotected: 0, heads: 2 });
  });

  test("entries that no head covers are not acknowledged, and come again", async () => {
    const { upload, log } = await enrolled();
    await using _ = log;
    await log.write(5);
    const items = await log.items(0);
    expect(await upload(items.slice(0, -1))).toBe(0);
    expect(await upload(items)).toBe(5);
  });

  test("a server that lost some gets them again", async () => {
    const { host, upload, log, nodeId } = await enrolled();
    await using _ = log;
    await log.write(5);
    await upload(await log.items(0));
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const kept = await store.inOrg(on.org.orgId, ({ auditLogs }) => auditLogs.find(nodeId));
    await log.write(3);
    expect(await upload(await log.items(5))).toBe(8);
    await store.shared.transaction().execute(async (tx) => {
      if (on.database.location.kind === "postgres") {
        await sql`select set_config('gatehouse.org_id', ${on.org.orgId}, true)`.execute(tx);
      }
      await sql`delete from audit_entries where log_id = ${nodeId} and seq >= 5`.execute(tx);
      await sql`delete from audit_heads where log_id = ${nodeId} and size > 5`.execute(tx);
    });
    await store.inOrg(on.org.orgId, async ({ auditLogs }) => kept && auditLogs.save(nodeId, kept));
    expect(await upload([])).toBe(5);
    expect(await upload(await log.items(5))).toBe(8);
    expect((await verifyLog(await openLogSource(await exported(host)))).entries).toBe(8);
  });

  test("a log that does not go on from what was sent is refused, once on record, and replaces nothing", async () => {
    const { host, upload, log, nodeId } = await enrolled();
    await using _ = log;
    await log.write(10);
    await upload(await log.items(0));
    await using other = await LogUnderTest.open(host.identity, nodeId);
    await other.write(12, "request.denied");
    await expect(upload(await other.items(10))).rejects.toEqual(refused("audit.forked"));
    await using shorter = await LogUnderTest.open(host.identity, nodeId);
    await shorter.write(4, "request.denied");
    await expect(upload((await shorter.items(0)).slice(-1))).rejects.toEqual(refused("audit.forked"));
    expect(await forks(nodeId)).toBe(1);
    expect(await upload([])).toBe(10);
    expect((await verifyLog(await openLogSource(await exported(host)))).entries).toBe(10);
    await log.write(3);
    expect(await upload(await log.items(10))).toBe(13);
  });

  test("a changed entry and a head by another key are refused, and nothing is stored", async () => {
    const { upload, log } = await enrolled();
    await using _ = log;
    await log.write(6);
    const items = await log.items(0);
    const changed = items.map((one, at) => {
      const { item } = one;
      if (at !== 3 || item.case !== "entry") return one;
      return toItem(new TextDecoder().decode(item.value).replace('"at":3', '"at":4'));
    });
    await expect(upload(changed)).rejects.toEqual(refused("audit.forked"));
    const stranger = await enrolled();
    await using theirs = await LogUnderTest.open(stranger.host.identity, "0190a1b2-0000-7000-8000-000000000001");
    await theirs.write(6);
    await expect(upload(await theirs.items(0))).rejects.toEqual(refused("audit.forked"));
    await stranger.log[Symbol.asyncDispose]();
    expect(await upload([])).toBe(0);
  });

  test("no node copies a log under another node's id", async () => {
    const { upload, log, host } = await enrolled();
    const other = await enrolled();
    await using _ = log;
    await using __ = other.log;
    await using posing = await LogUnderTest.open(host.identity, other.nodeId);
    await posing.write(2);
    await expect(upload(await posing.items(0))).rejects.toEqual(refused("audit.forked"));
    expect(await other.upload([])).toBe(0);
  });

  describe("of a segment that takes several transactions", () => {
    const COUNT = 2 * MAX_SLICE_ENTRIES + 10;

    /** Copies as a replica of its own does; what is awaited before a transaction may be its end. */
    async function copyAside(
      nodeId: string,
      items: readonly UploadAuditRequest[],
      before: (at: number) => Promise<void>,
    ) {
      await using store = await connectStore(on.database.location, on.fleet.clock);
      const { orgId } = on.org;
      let at = 0;
      const inOrg: CopyDeps["inOrg"] = async (work) => {
        at += 1;
        await before(at);
        return await store.inOrg(orgId, work);
      };
      return await copyNodeLog(read(items), { nodeId, orgId, inOrg });
    }

    async function left(nodeId: string): Promise<number> {
      await using store = await connectStore(on.database.location, on.fleet.clock);
      return await store.inOrg(on.org.orgId, async ({ auditLogs }) => {
        return (await auditLogs.size(nodeId)) - ((await auditLogs.find(nodeId))?.tree.size ?? 0);
      });
    }

    /** A copy of which two transactions were written, and nothing behind them. */
    async function broken() {
      const one = await enrolled();
      await one.log.write(5);
      await one.upload(await one.log.items(0));
      await one.log.write(COUNT);
      const items = await one.log.items(5);
      const gone = new Error("killed");
      const killed = copyAside(one.nodeId, items, async (at) => {
        if (at > 4) throw gone;
      });
      await expect(killed).rejects.toBe(gone);
      expect(await left(one.nodeId)).toBe(2 * MAX_SLICE_ENTRIES);
      return { ...one, items };
    }

    test("nobody reads what was written of it before its end came, and the next copy is whole", async () => {
      const { host, upload, log, nodeId, items } = await broken();
      await using _ = log;
      expect(await upload([])).toBe(5);
      expect((await verifyLog(await openLogSource(await exported(host)))).entries).toBe(5);
      expect(await upload(items)).toBe(COUNT + 5);
      expect(await left(nodeId)).toBe(0);
      const verified = await verifyLog(await openLogSource(await exported(host)), { pinned: host.identity.publicKey });
      expect(verified).toMatchObject({ entries: COUNT + 5, unprotected: 0 });
    });

    test("one whose node does not come again is forgotten as far as no head covers it", async () => {
      const { host, log, nodeId } = await broken();
      await using _ = log;
      await using store = await connectStore(on.database.location, on.fleet.clock);
      const forget = () => store.inOrg(on.org.orgId, forgetLeftCopies);
      expect(await forget()).toBe(false);
      expect(await left(nodeId)).toBe(2 * MAX_SLICE_ENTRIES);
      on.fleet.clock.advance(LEFT_AFTER_MS + 1);
      while (await forget());
      expect(await left(nodeId)).toBe(0);
      expect((await verifyLog(await openLogSource(await exported(host)))).entries).toBe(5);
    });

    test("one whose writer stood still until it was about to be forgotten goes on no more, and the next copy is whole", async () => {
      const { host, upload, log, nodeId } = await enrolled();
      await using _ = log;
      await log.write(5);
      await upload(await log.items(0));
      await log.write(COUNT);
      const items = await log.items(5);
      await using store = await connectStore(on.database.location, on.fleet.clock);
      const still = copyAside(nodeId, items, async (at) => {
        if (at !== 5) return;
        on.fleet.clock.advance(LEFT_AFTER_MS + 1);
        expect(await store.inOrg(on.org.orgId, forgetLeftCopies)).toBe(true);
        expect(await left(nodeId)).toBe(MAX_SLICE_ENTRIES);
      });
      await expect(still).rejects.toMatchObject({ code: "uploads.out_of_order" });
      expect(await store.inOrg(on.org.orgId, forgetLeftCopies)).toBe(true);
      expect(await left(nodeId)).toBe(0);
      expect(await copyAside(nodeId, items, async () => undefined)).toBe(COUNT + 5);
      expect((await verifyLog(await openLogSource(await exported(host)))).entries).toBe(COUNT + 5);
    });

    test("two replicas copy at once: whoever began last goes on, and the log is whole", async () => {
      const { host, upload, log, nodeId } = await enrolled();
      await using _ = log;
      await log.write(COUNT);
      const items = await log.items(0);
      let faster = 0;
      const slower = copyAside(nodeId, items, async (at) => {
        if (at === 4) faster = await upload(items);
      });
      await expect(slower).rejects.toMatchObject({ code: "uploads.out_of_order" });
      expect(faster).toBe(COUNT);
      expect(await left(nodeId)).toBe(0);
      expect((await verifyLog(await openLogSource(await exported(host)))).entries).toBe(COUNT);
    });
  });

  test("revoking a node takes nothing of its log away", async () => {
    const { host, upload, log, nodeId } = await enrolled();
    await using _ = log;
    await log.write(7);
    await upload(await log.items(0));
    await on.org.nodes.revokeNode({ nodeId }, on.org.headers);
    expect((await verifyLog(await openLogSource(await exported(host)))).entries).toBe(7);
    await log.write(1);
    await expect(upload(await log.items(7))).rejects.toEqual(refused("auth.refused"));
  });
});

async function* read(items: readonly UploadAuditRequest[]): AsyncGenerator<CopiedItem> {
  yield* readAuditItems(
    (async function* () {
      yield* items;
    })(),
  );
}
