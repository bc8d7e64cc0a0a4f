import { readFile, stat, writeFile } from "node:fs/promises";
import { startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("an operator exports the organisation's log, which verifies offline and continues the export before", async () => {
  await using fleet = await startFleet();
  const { org_id: log } = await fleet.initOrg();
  const [first, second] = [fleet.path("first.jsonl"), fleet.path("second.jsonl")];
  const exported = await fleet.operator(["audit", "export", "--out", first]);
  expect(exported).toMatchObject({ log, left_out: 0, entries: expect.any(Number) });
  expect((await stat(first)).mode & 0o777).toBe(0o600);
  await fleet.operator(["nodes", "enroll-code"]);
  await fleet.operator(["audit", "export", "--out", second]);
  const key = fleet.path("audit.key");
  await writeFile(key, exported.key);
  await fleet.stopServer();
  const verified = await fleet.json(["audit", "verify", second, "--key", key, "--earlier", first]);
  expect(verified).toMatchObject({ ok: true, log, trust: "pinned", unprotected: 0 });
  expect(verified.entries).toBeGreaterThan(exported.entries);
  const backwards = await fleet.run(["audit", "verify", first, "--earlier", second, "--json"]);
  expect(backwards.code).toBe(4);
  expect(JSON.parse(backwards.stdout)).toMatchObject({ ok: false, code: "audit.tampered" });
});

test("a new epoch of the server's keys goes on with the same log", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const [before, after] = [fleet.path("before.jsonl"), fleet.path("after.jsonl")];
  await fleet.operator(["audit", "export", "--out", before]);
  await fleet.stopServer();
  await fleet.json(["server", "recover", "--state-dir", fleet.path("s")]);
  await fleet.startServer();
  await fleet.operator(["audit", "export", "--out", after]);
  const verified = await fleet.json(["audit", "verify", after, "--earlier", before]);
  expect(verified).toMatchObject({ ok: true, unprotected: 0 });
});

test("a proof from the server is checked before it is printed", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const proof = await fleet.operator(["audit", "prove", "0"]);
  expect(proof).toMatchObject({ index: 0, entry: { seq: 0, kind: "org.created" }, head: { size: proof.size } });
  const absent = await fleet.run(["audit", "prove", "999", "--state-dir", fleet.path("o")]);
  expect(absent.code).toBe(5);
});

test("an export that fails leaves no file", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const out = fleet.path("none.jsonl");
  const nowhere = "0190a1b2-0000-7000-8000-000000000000";
  const own = ["--state-dir", fleet.path("o")];
  expect((await fleet.run(["audit", "export", "--out", out, "--node", nowhere, ...own])).code).toBe(5);
  await expect(readFile(out)).rejects.toThrow("ENOENT");
  await expect(readFile(`${out}.tmp`)).rejects.toThrow("ENOENT");
});
