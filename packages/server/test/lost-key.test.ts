import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRandom } from "@gatehouse/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createBackup, restoreBackup } from "../src/index.ts";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type HostUnderTest, hash, makePair, type OrgUnderTest, refused } from "./fleet-under-test.ts";
import { apiKeyOf, openJwe } from "./host-session.ts";
import { auditKinds, storedRows } from "./stored-rows.ts";

const UNKNOWN = `ghn_00000000_${"A".repeat(43)}`;

describe.each(DATABASES)("a server on $name that was put back from a backup", ({ open }) => {
  let directory: string;
  let source: TestDatabase;
  let target: TestDatabase;
  let fleet: FleetUnderTest;
  let again: FleetUnderTest;
  let org: OrgUnderTest;
  let host: HostUnderTest;
  let revoked: HostUnderTest;

  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "gatehouse-lost-"));
    [source, target] = [await open(), await open()];
    fleet = await FleetUnderTest.open(source.location);
    org = await fleet.createOrg("acme");
    [host, revoked] = [await org.enroll("n1"), await org.enroll("n2")];
    await handshake(host, await apiKeyOf(host));
    await org.nodes.revokeNode({ nodeId: revoked.registered.nodeId }, org.headers);
    // In the first epoch an unknown key is nobody's, whoever comes with it.
    await expect(handshake(host, UNKNOWN)).rejects.toEqual(refused("auth.refused"));
    const file = join(directory, "backup");
    await createBackup({ directory: fleet.directory, store: source.location, out: file }, fleet.clock);
    const postgresUrl = target.location.kind === "postgres" ? target.location.url : undefined;
    const restored = join(directory, "server");
    fleet.clock.advance(1_000);
    await restoreBackup({ file, directory: restored, postgresUrl }, { clock: fleet.clock, random: systemRandom });
    const location =
      postgresUrl === undefined ? { kind: "sqlite" as const, path: join(restored, "server.db") } : target.location;
    target = { ...target, location };
    again = await FleetUnderTest.open(location, { directory: restored });
    again.clock.advance(fleet.clock.now() - again.clock.now() + 1_000);
    Object.assign(org, { fleet: again });
  }, 60_000);

  afterAll(async () => {
    await again[Symbol.asyncDispose]();
    await fleet[Symbol.asyncDispose]();
    for (const database of [source, target]) await database[Symbol.asyncDispose]();
    rmSync(directory, { recursive: true, force: true });
  });

  async function handshake(of: HostUnderTest, apiKey: string, signer = of.identity) {
    const { answer, tuple } = await of.handshake(apiKey, signer);
    return { ...(await of.org.fleet.gateway.completeAuthHandshake(answer)), tuple };
  }

  test("gives nothing to other keys than the node's own, nor to a node that was revoked before", async () => {
    const before = await storedRows(target.location, org.orgId, "api_keys");
    await expect(handshake(host, UNKNOWN, makePair("ed25519"))).rejects.toEqual(refused("auth.refused"));
    await expect(handshake(revoked, UNKNOWN)).rejects.toEqual(refused("auth.refused"));
    expect(await storedRows(target.location, org.orgId, "api_keys")).toEqual(before);
    expect(await storedRows(target.location, org.orgId, "sessions")).toEqual([]);
  });

  test("lets a node in by its identity whose API key it does not know, with a fresh key sealed to it, until that was used", async () => {
    for (let turn = 0; turn < 2; turn += 1) {
      const { sealedApiKey, sessionToken, tuple } = await handshake(host, UNKNOWN);
      expect(sessionToken).not.toBe("");
      if (turn === 0) continue;
      const fresh = await openJwe(host, sealedApiKey, hash(tuple));
      expect(fresh).toMatch(/^ghn_/);
      expect((await handshake(host, fresh)).sealedApiKey).toBe("");
    }
    await expect(handshake(host, UNKNOWN)).rejects.toEqual(refused("auth.refused"));
    expect(await auditKinds(target.location, org.orgId)).toContain("handshake.completed");
  });
});
