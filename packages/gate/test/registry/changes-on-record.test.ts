import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { addGrant, INLINE_VALUE, openRegistry, registration } from "./registry-under-test.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-on-record-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test("a run's life is on record: by whom, with which grants and rules, and no value", async () => {
  const { registry, credentials, audit } = await openRegistry(directory);
  await addGrant(credentials, "g");
  const token = await registry.register(registration({ grants: ["g"] }), "uid:1000");
  await registry.setContainer(token, "c1", "uid:1000");
  await credentials.remove("g", () => registry.withdrawGrant("g"));
  await registry.endByToken(token, "uid:1000");
  expect(audit.events).toMatchObject([
    { kind: "run.registered", run: "r1", actor: "uid:1000", data: { grants: ["g"], policy_mode: "strict" } },
    { kind: "run.container_set", run: "r1", data: { container: "c1" } },
    { kind: "run.grant_withdrawn", run: "r1", data: { grant: "g" } },
    { kind: "run.ended", run: "r1", actor: "uid:1000" },
  ]);
  for (const secret of [INLINE_VALUE, token, "planted-g"]) expect(JSON.stringify(audit.events)).not.toContain(secret);
});

test("a registration with other rules is another one on record", async () => {
  const { registry, audit } = await openRegistry(directory);
  const token = await registry.register(registration());
  await registry.register(registration({ auth_token: token }));
  await registry.register(registration({ auth_token: token, network_allow: ["b.example.test"] }));
  const [first, same, other] = audit.events.map(({ data }) => data.policy_sha256);
  expect(same).toBe(first);
  expect(other).not.toBe(first);
});

test("what cannot be put on record is not registered: not in the workers, not on the disk", async () => {
  const { registry, served, audit } = await openRegistry(directory);
  audit.refuses = true;
  await expect(registry.register(registration())).rejects.toMatchObject({ code: "audit.unwritable" });
  expect(registry.size).toBe(0);
  expect(served.runs.size).toBe(0);
  expect((await openRegistry(directory)).registry.size).toBe(0);
});

test("a registration that fails behind its entry is on record as failed", async () => {
  const { registry, served, audit } = await openRegistry(directory);
  served.refuses = true;
  await expect(registry.register(registration())).rejects.toThrow("did not follow");
  expect(audit.kinds).toEqual(["run.registered", "run.registered_failed"]);
});

test("a run is ended whether that can be put on record or not, says so, and stands there once", async () => {
  const { registry, served, audit } = await openRegistry(directory);
  const token = await registry.register(registration());
  audit.refuses = true;
  await expect(registry.endByToken(token)).rejects.toMatchObject({ code: "audit.unwritable" });
  expect(served.runs.size).toBe(0);
  expect(registry.size).toBe(0);
  audit.refuses = false;
  await registry.endByToken(token);
  await expect(registry.endByToken(token)).rejects.toMatchObject({ code: "runs.not_found" });
  expect(audit.kinds).toEqual(["run.registered", "run.ended"]);
});

test("a revocation comes off the runs before the credential is gone from the disk", async () => {
  const { registry, credentials } = await openRegistry(directory);
  await addGrant(credentials, "g");
  await registry.register(registration({ credentials: [], grants: ["g"] }));
  const crash = new Error("the process ends here");
  await credentials
    .remove("g", async () => {
      await registry.withdrawGrant("g");
      const after = await openRegistry(directory);
      expect(after.registry.refused).toEqual([]);
      expect(after.registry.get("r1")?.grants).toEqual([]);
      throw crash;
    })
    .catch((failure: unknown) => expect(failure).toBe(crash));
});
