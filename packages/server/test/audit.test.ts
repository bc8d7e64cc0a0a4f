import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { type AuditEntry, fromBase64url, hashLeaf, readEntry, rootOfInclusion } from "@gatehouse/core";
import { openLogSource, sha256, verifyLog } from "@gatehouse/kit";
import { AuditAdminService } from "@gatehouse/wire";
import { type RawBuilder, sql } from "kysely";
import { afterAll, describe, expect, test } from "vitest";
import { coverOrgLog } from "../src/audit/keep-heads.ts";
import { openServerKeys } from "../src/keys/server-keys.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { orgOnDatabase } from "./org-on-database.ts";

const directory = mkdtempSync(join(tmpdir(), "gatehouse-audit-test-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let files = 0;

/** Verifies an export as a stranger would, from a file. */
async function verify(text: string, pinned?: Uint8Array) {
  files += 1;
  const path = join(directory, `${files}.jsonl`);
  writeFileSync(path, text);
  return verifyLog(await openLogSource(path), { pinned });
}

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);

  const audit = () => createClient(AuditAdminService, on.fleet.transport);

  async function exported(): Promise<string> {
    const decoder = new TextDecoder();
    let text = "";
    for await (const { lines } of audit().exportAudit({}, on.org.headers))
      text += decoder.decode(lines, { stream: true });
    return text;
  }

  const auditKey = async () => {
    const own = { now: () => on.fleet.clock.now(), randomBytes: () => new Uint8Array(32) };
    return (await openServerKeys(on.fleet.directory, own)).working.audit.key;
  };

  test("an export ends with a head, and a stranger verifies it by the key that the key set certifies", async () => {
    await on.org.enroll("a1");
    const verified = await verify(await exported(), (await auditKey()).publicKey);
    expect(verified).toMatchObject({ log: on.org.orgId, unprotected: 0 });
    expect(verified.entries).toBeGreaterThan(3);
  });

  test("who exported the log stands in it", async () => {
    const lines = (await exported()).trimEnd().split("\n");
    const kinds = lines.filter((line) => line.startsWith('{"actor"')).map((line) => readEntry(line));
    expect(kinds.at(-1)).toMatchObject({ kind: "audit.exported", actor: "operator:ada", org: on.org.orgId });
  });

  test("one entry is proven by a path of a few hashes, against a head", async () => {
    const { proof } = await audit().proveAuditEntry({ seq: 1n }, on.org.headers);
    const { entry, size, index, path, head } = JSON.parse(proof) as {
      entry: AuditEntry;
      size: number;
      index: number;
      path: string[];
      head: { root: string };
    };
    const [, , line = ""] = (await exported()).split("\n");
    expect(readEntry(line)).toEqual(entry);
    const hashes = path.map((text) => fromBase64url(text) ?? new Uint8Array());
    const root = rootOfInclusion(sha256, { leafHash: hashLeaf(sha256, line), index, size, path: hashes });
    expect(root).toEqual(fromBase64url(head.root));
    const absent = audit().proveAuditEntry({ seq: 1_000_000n }, on.org.headers);
    await expect(absent).rejects.toThrow("There is no such audit log or entry.");
  });

  test("two replicas that sign at once sign one chain of heads", async () => {
    await using one = await connectStore(on.database.location, on.fleet.clock);
    // Only PostgreSQL has replicas.
    await using second =
      on.database.location.kind === "postgres" ? await connectStore(on.database.location, on.fleet.clock) : one;
    const key = await auditKey();
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([on.org.createCode(), on.org.createCode()]);
      await Promise.all([one, second].map((store) => coverOrgLog(on.org.orgId, { store, key })));
    }
    expect((await verify(await exported(), key.publicKey)).heads).toBeGreaterThanOrEqual(5);
  });

  /** Changes rows past the server, as somebody with the database could. */
  async function tamper(statement: RawBuilder<unknown>): Promise<void> {
    await using store = await connectStore(on.database.location, on.fleet.clock);
    await store.shared.transaction().execute(async (tx) => {
      if (on.database.location.kind === "postgres") {
        await sql`select set_config('gatehouse.org_id', ${on.org.orgId}, true)`.execute(tx);
      }
      await statement.execute(tx);
    });
  }

  test("a row that was changed behind a head is found in the next export", async () => {
    await exported();
    const change = (from: string, to: string) =>
      tamper(sql`update audit_entries set entry = replace(entry, ${from}, ${to}) where seq = 2`);
    await change('"actor":"', '"actor":"x');
    await expect(verify(await exported())).rejects.toMatchObject({ code: "audit.tampered" });
    await change('"actor":"x', '"actor":"');
    expect((await verify(await exported())).log).toBe(on.org.orgId);
  });

  test("a head that was taken away keeps the server from signing another", async () => {
    await exported();
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const head = await store.inOrg(on.org.orgId, (tx) => tx.auditLogs.newestHead(on.org.orgId));
    if (head === undefined) throw new Error("no head was signed");
    await tamper(sql`delete from audit_heads where size = ${head.size}`);
    await expect(exported()).rejects.toThrow("The audit log is not what was signed.");
    await store.inOrg(on.org.orgId, (tx) => tx.auditLogs.insertHead(on.org.orgId, head));
    await exported();
  });

  test("entries are covered by a head within ten seconds, whoever asks or not", async () => {
    await on.org.createCode();
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const covered = () =>
      store.inOrg(on.org.orgId, async ({ auditLogs }) => {
        const head = await auditLogs.newestHead(on.org.orgId);
        return head?.size === (await auditLogs.size(on.org.orgId));
      });
    await expect.poll(covered, { timeout: 10_000, interval: 250 }).toBe(true);
  });

  test("another organisation's log and one that is nowhere get the same answer", async () => {
    const nowhere = "0190a1b2-0000-7000-8000-000000000000";
    const ask = async () => {
      for await (const _ of audit().exportAudit({ nodeId: nowhere }, on.org.headers)) throw new Error("it was there");
    };
    await expect(ask()).rejects.toThrow("There is no such audit log or entry.");
  });
});
