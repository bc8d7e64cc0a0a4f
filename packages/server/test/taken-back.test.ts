import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createClient } from "@connectrpc/connect";
import { AuditAdminService, Role } from "@gatehouse/wire";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readTakenBack, type TakenBack, takeBackAgain } from "../src/backup/taken-back.ts";
import { openServerKeys } from "../src/keys/server-keys.ts";
import { connectStore } from "../src/store/open-store.ts";
import type { OrgTransaction } from "../src/store/org-transaction.ts";
import type { Store } from "../src/store/store.ts";
import { PING } from "./commands-under-test.ts";
import { DATABASES } from "./databases.ts";
import { orgOnDatabase } from "./org-on-database.ts";

const ISSUER = "https://id.example.com";
const HASH = `$argon2id$v=19$m=65536,t=3,p=4$${"a".repeat(22)}$${"a".repeat(43)}`;

describe.each(DATABASES)("on $name, a restored server", ({ open }) => {
  const on = orgOnDatabase(open);
  let folder: string;
  let store: Store;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "gatehouse-taken-back-"));
    store = await connectStore(on.database.location, on.fleet.clock);
  });

  afterAll(async () => {
    await store[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true });
  });

  const inOrg = <T>(work: (tx: OrgTransaction) => Promise<T>): Promise<T> => store.inOrg(on.org.orgId, work);

  async function addMember(name: string): Promise<void> {
    await on.org.org.addMember({ name, role: Role.ADMIN }, on.org.headers);
    await inOrg(async (tx) => {
      const memberId = (await tx.members.findByName(name))?.id ?? "";
      await tx.passwords.put(memberId, HASH);
      await tx.identities.insert({ issuer: ISSUER, subject: name, memberId });
    });
  }

  /** What the log says, as a server reads it that is put back. */
  async function exportedLog(): Promise<TakenBack> {
    const file = join(folder, "audit.jsonl");
    const { exportAudit } = createClient(AuditAdminService, on.fleet.transport);
    let text = "";
    for await (const { lines } of exportAudit({}, on.org.headers)) text += new TextDecoder().decode(lines);
    writeFileSync(file, text);
    const own = { now: () => on.fleet.clock.now(), randomBytes: () => new Uint8Array(32) };
    const { publicKey } = (await openServerKeys(on.fleet.directory, own)).working.audit.key;
    return await readTakenBack(file, publicKey);
  }

  const waysIn = (name: string) =>
    inOrg(async (tx) => {
      const memberId = (await tx.members.findByName(name))?.id ?? "";
      const atProvider = (await tx.identities.listOfMember(memberId)).length > 0;
      return { password: (await tx.passwords.find(memberId)) !== undefined, atProvider };
    });

  test("lets nobody in by a password that was replaced, or as whom a member unlinked, since its backup", async () => {
    for (const name of ["before", "changed", "chosen", "reset", "unlinked"]) await addMember(name);
    const note = (kind: string, member: string, more = {}) =>
      inOrg((tx) => tx.audit.append({ kind, actor: `operator:${member}`, data: { member, ...more } }));
    await note("password.changed", "before");
    const size = await inOrg((tx) => tx.auditLogs.size(on.org.orgId));
    await note("password.changed", "changed");
    await note("password.chosen", "chosen");
    await note("password.reset", "reset");
    await note("identity.unlinked", "unlinked", { issuer: ISSUER });
    const back = await exportedLog();
    await inOrg((tx) => takeBackAgain(tx, back, size));
    expect(await waysIn("before")).toEqual({ password: true, atProvider: true });
    for (const name of ["changed", "chosen", "reset"]) {
      expect(await waysIn(name), name).toEqual({ password: false, atProvider: true });
    }
    expect(await waysIn("unlinked")).toEqual({ password: true, atProvider: false });
  });

  test("sends no command again that was withdrawn since its backup, and keeps what was given again before it", async () => {
    const { registered } = await on.org.enroll("n");
    const send = async (idempotencyKey: string, by = on.org.headers) => {
      const asked = { nodeIds: [registered.nodeId], payload: PING, idempotencyKey };
      const { commands } = await on.org.nodes.sendCommand(asked, by);
      return commands[0]?.commandId ?? "";
    };
    const ids = { again: await send("again"), waiting: await send("waiting"), sent: await send("sent") };
    const { apiKey, stored } = await on.org.org.createApiKey(
      { label: "k", role: Role.OPERATOR, ttlMs: 0n },
      on.org.headers,
    );
    const since = await send("since", { headers: { Authorization: `Bearer ${apiKey}` } });
    const note = (command: string, state = "forbidden") =>
      inOrg((tx) => tx.audit.append({ kind: "command.withdrawn", actor: "operator:ada", data: { command, state } }));
    await note(ids.again);
    const size = await inOrg(async (tx) => {
      await tx.commands.update(ids.sent, { state: "sent", epoch: 1, seq: 1 });
      return tx.auditLogs.size(on.org.orgId);
    });
    for (const id of [ids.waiting, ids.sent]) await note(id);
    await note(since, "outcome_unknown");
    const revoked = { kind: "api_key.revoked", actor: "operator:ada", data: { key: stored?.prefix ?? "" } };
    await inOrg((tx) => tx.audit.append(revoked));
    const back = await exportedLog();
    await inOrg((tx) => takeBackAgain(tx, back, size));
    const stateOf = (id: string) => inOrg(async (tx) => (await tx.commands.find(id))?.state);
    expect([await stateOf(ids.again), await stateOf(ids.waiting), await stateOf(ids.sent)]).toEqual([
      "queued",
      "forbidden",
      "outcome_unknown",
    ]);
    // Its node had it: here it was never sent.
    expect(await stateOf(since)).toBe("outcome_unknown");
  });
});
