import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { eventually, type Fleet, startFleet } from "@gatehouse/testbed";
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
  // Where the server was pinned its key is known; anywhere else it is the log's own word.
  expect(await fleet.operator(["audit", "verify", second])).toMatchObject({ log, trust: "pinned" });
  expect(await fleet.json(["audit", "verify", second, "--state-dir", fleet.path("x")])).toMatchObject({
    trust: "unpinned",
  });
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
  const own = await fleet.run(["audit", "verify", "--state-dir", fleet.path("o")]);
  expect(own).toMatchObject({ code: 5, stderr: expect.stringContaining("gatehouse audit export --out FILE") });
});

test("an export that fails leaves no file", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const out = fleet.path("none.jsonl");
  const nowhere = "0190a1b2-0000-7000-8000-000000000000";
  const own = ["--state-dir", fleet.path("o")];
  expect((await fleet.run(["audit", "export", "--out", out, "--node", nowhere, ...own])).code).toBe(5);
  const left = await readdir(dirname(out));
  expect(left.filter((name) => name.startsWith("none.jsonl"))).toEqual([]);
});

/** A host's daemon, connected. */
async function startNode(fleet: Fleet, name: string) {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path(name), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await eventually("the node is connected", async () => {
    const { connected } = await fleet.operator(["nodes", "show", name]);
    return connected === true;
  });
  return daemon;
}

test("a node is a witness of its organisation's log, and its server of the node's own: both find what was taken back", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const out = fleet.path("org.jsonl");
  // An export signs a head: there is one that the node can see.
  await fleet.operator(["audit", "export", "--out", out]);
  const first = await startNode(fleet, "n1");
  const onHost = ["--state-dir", fleet.path("n1")];
  await fleet.json(["audit", "export", "--out", fleet.path("n1.jsonl"), ...onHost]);
  await writeFile(fleet.path("value"), "no-real-one");
  await fleet.json(["grant", "github", "--value-file", fleet.path("value"), ...onHost]);
  first.kill("SIGTERM");
  await first.finished;
  // The next daemon countersigns what the first one saw.
  const daemon = await startNode(fleet, "n1");
  const head = fleet.path("n1-head.json");
  const node = await fleet.operator(["nodes", "show", "n1"]);
  await writeFile(head, JSON.stringify(node));
  const witnesses = fleet.path("witnesses.keys");
  await writeFile(witnesses, `${node.audit_log.key}\n`);
  expect(node).toMatchObject({ audit: "ok", health: "ok", spool_bytes: expect.any(Number) });
  const table = await fleet.run(["nodes", "show", "n1", "--state-dir", fleet.path("o")]);
  expect(table.stdout).toMatch(/^audit head +[1-9]\d* entries at \S+Z, root [\w-]{43}$/m);
  await fleet.operator(["audit", "export", "--out", out]);
  const counted = await fleet.json(["audit", "verify", out, "--witnesses", witnesses]);
  expect(counted).toMatchObject({ ok: true, witnesses: 1, witness_trust: "pinned" });
  expect(counted.witnessed).toBeGreaterThan(0);
  const onNode = await fleet.json(["audit", "verify", out, ...onHost]);
  expect(onNode).toMatchObject({ ok: true, seen: expect.any(Number) });
  expect(onNode.seen).toBeGreaterThan(0);
  daemon.kill("SIGTERM");
  await daemon.finished;
  const own = await fleet.json(["audit", "verify", fleet.path("n1"), "--earlier", head]);
  expect(own).toMatchObject({ ok: true });
  expect(own.seen).toBeGreaterThanOrEqual(node.audit_log.head.size);
  const segment = fleet.path("n1/audit/0000000000000000.jsonl");
  const [header, ...lines] = (await readFile(segment, "utf8")).split("\n");
  const end = lines.findIndex((line) => line.startsWith('{"key_id"'));
  await writeFile(segment, [header, ...lines.slice(0, end + 1), ""].join("\n"));
  await writeFile(fleet.path("n1/audit/head.json"), lines[end] ?? "");
  const alone = await fleet.run(["audit", "verify", fleet.path("n1"), "--json", ...onHost]);
  expect(alone.code).toBe(4);
  const held = await fleet.run(["audit", "verify", fleet.path("n1"), "--earlier", head, "--json"]);
  expect(JSON.parse(held.stdout)).toMatchObject({ ok: false, code: "audit.tampered" });
});
