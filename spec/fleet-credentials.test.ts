import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import {
  createTestAuthority,
  eventually,
  type FakeApi,
  type Fleet,
  findInFiles,
  openFakeApi,
  plantValue,
  startFleet,
  stretchedLimit,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";

const VALUE = "ghp_0123456789abcdefghijklmnopqrstuvwxyz";

test("a credential is sealed on the operator's machine, and the server never holds its value", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await enrollTogether(fleet, ["n1", "n2"]);
  await writeFile(fleet.path("value"), VALUE, { mode: 0o600 });
  const own = ["--service", "github", "--value-file", fleet.path("value")];
  expect(await fleet.operator(["credentials", "add", "gh", "--nodes", "n1", ...own])).toMatchObject({
    name: "gh",
    version: 1,
    nodes: ["n1"],
  });
  const again = await fleet.run(["credentials", "add", "gh", "--nodes", "n1", ...own, "--state-dir", fleet.path("o")]);
  expect(again.code).toBe(1);
  expect(await fleet.operator(["credentials", "add", "gh", "--nodes", "n1", "--replace", ...own])).toMatchObject({
    version: 2,
  });
  await fleet.operator(["credentials", "reseal", "gh", "--nodes", "n2"]);
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([
    { name: "gh", version: 2, nodes: ["n1", "n2"], rotation_pending: false },
  ]);
  expect(await fleet.operator(["nodes", "revoke", "n2"])).toMatchObject({ rotation_pending: ["gh"] });
  expect(await fleet.operator(["credentials", "ls"])).toMatchObject([{ nodes: ["n1"], rotation_pending: true }]);
  await fleet.operator(["revoke", "gh"]);
  expect(await fleet.operator(["credentials", "ls"])).toEqual([]);
  expect(fleet.serverLog).not.toContain(VALUE);
  expect(await findInFiles(fleet.path("s"), VALUE)).toEqual([]);
  expect(await findInFiles(fleet.path("o"), VALUE)).toEqual([]);
});

test("a run on a node uses what was sealed on the operator's machine, over a restart, until it is taken back", async () => {
  const authority = await createTestAuthority();
  const value = plantValue();
  await using api = await openFakeApi({ authority, expects: `Bearer ${value}` });
  await using fleet = await startFleet();
  await mkdir(fleet.path("workspace"));
  await mkdir(fleet.path("config", "gatehouse"), { recursive: true });
  await writeFile(fleet.path("ca.pem"), authority.certificatePem);
  const gate = { engines: [], workers: 1, upstreamCa: fleet.path("ca.pem") };
  await writeFile(fleet.path("config", "gatehouse", "config.yaml"), JSON.stringify({ gate }));
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const first = await startNode(fleet);
  await writeFile(fleet.path("value"), value, { mode: 0o600 });
  const own = ["--host", `localhost:${api.port}`, "--value-file", fleet.path("value")];
  await fleet.operator(["credentials", "add", "api", "--nodes", "n1", ...own]);
  await eventually("the grant is there", async () => ((await grantsOf(fleet)).includes("api") ? true : undefined));
  expect(await ask(fleet, api)).toBe("200");

  first.kill("SIGTERM");
  await first.finished;
  await startNode(fleet);
  await eventually("the grant is there again", async () =>
    (await grantsOf(fleet)).includes("api") ? true : undefined,
  );
  expect(await ask(fleet, api)).toBe("200");

  const long = fleet.start([...runOn(fleet), "sh", "-c", LOOP, "loop", `https://localhost:${api.port}`]);
  await long.line("an answer with the credential", (line) => line === "200");
  await fleet.operator(["revoke", "api"]);
  const revokedAt = performance.now();
  await long.line("an answer without it", (line) => line === "401");
  const tookMs = performance.now() - revokedAt;
  expect(tookMs).toBeLessThan(await stretchedLimit(1_000));
  long.kill("SIGTERM");
  await long.finished;
  expect(await grantsOf(fleet)).toEqual([]);
  for (const place of ["s", "o", "n1"]) expect(await findInFiles(fleet.path(place), value)).toEqual([]);
  expect(fleet.serverLog).not.toContain(value);
  expect(await readFile(fleet.path("n1", "fleet", "state.json"), "utf8")).toContain("revoked");
});

test("a credential whose row at the server is damaged is refused alone: the others are served, and it is named", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await mkdir(fleet.path("workspace"));
  await startNode(fleet);
  await writeFile(fleet.path("value"), plantValue(), { mode: 0o600 });
  const add = (name: string) => {
    const own = ["--host", "api.example.com", "--value-file", fleet.path("value")];
    return fleet.operator(["credentials", "add", name, "--nodes", "n1", ...own]);
  };
  await add("bad");
  await add("taken-back");
  await eventually("both are there", async () => ((await grantsOf(fleet)).length === 2 ? true : undefined));
  await fleet.stopServer();
  const database = new DatabaseSync(fleet.path("s", "server", "server.db"));
  database.exec("update credentials set signature = zeroblob(64) where name = 'bad'");
  database.close();
  await fleet.startServer();
  await fleet.operator(["revoke", "taken-back"]);
  await add("good");
  await eventually("the newest is there", async () => ((await grantsOf(fleet)).includes("good") ? true : undefined));
  expect(await grantsOf(fleet)).toEqual(["good"]);
  const refused = { name: "bad", code: "credentials.refused" };
  const status = await fleet.json(["node", "status", "--state-dir", fleet.path("n1")]);
  expect(status).toMatchObject({ bundle_fault: null, credentials_refused: [refused] });
  await eventually("the server knows", async () => {
    const [node] = (await fleet.operator(["nodes", "ls"])) as { readonly credentials_refused?: unknown }[];
    return node?.credentials_refused === undefined
      ? undefined
      : expect(node.credentials_refused).toMatchObject([refused]);
  });
  const run = [...runOn(fleet, "bad"), "true"];
  expect(await fleet.run(run)).toMatchObject({
    code: 125,
    stderr: expect.stringContaining("Its signature does not hold."),
  });
});

test("a node that is connected follows its server into a new epoch, whose generations may be earlier ones", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const backup = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", backup]);
  await startNode(fleet);
  await writeFile(fleet.path("value"), plantValue(), { mode: 0o600 });
  const own = ["--host", "api.example.com", "--value-file", fleet.path("value")];
  await fleet.operator(["credentials", "add", "api", "--nodes", "n1", ...own]);
  await eventually("the grant is there", async () => ((await grantsOf(fleet)).includes("api") ? true : undefined));
  await fleet.stopServer();
  await rm(fleet.path("s"), { recursive: true });
  await fleet.json(["server", "restore", backup, "--state-dir", fleet.path("s")]);
  await fleet.startServer();
  await eventually("what the restored server knows is served", async () => {
    const { bundle } = JSON.parse(await readFile(fleet.path("n1", "fleet", "state.json"), "utf8"));
    return bundle.epoch === 2 ? true : undefined;
  });
  expect(await grantsOf(fleet)).toEqual([]);
});

const LOOP = 'while :; do curl -s -o /dev/null -w "%{http_code}\\n" "$1"; sleep 0.1; done';

async function startNode(fleet: Fleet) {
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  return daemon;
}

async function grantsOf(fleet: Fleet): Promise<readonly string[]> {
  const listed = (await fleet.json(["credentials", "ls", "--state-dir", fleet.path("n1")])) as { name: string }[];
  return listed.map(({ name }) => name);
}

function runOn(fleet: Fleet, grant = "api"): readonly string[] {
  const own = ["--state-dir", fleet.path("n1"), "--workspace", fleet.path("workspace")];
  return ["run", ...own, "--grant", grant, "--"];
}

/** Enrolls hosts that an operator confirms in one version of the roster; not before each fingerprint is the host's own. */
async function enrollTogether(fleet: Fleet, names: readonly [string, string]): Promise<void> {
  const claims = [];
  const fingerprints: string[] = [];
  for (const name of names) {
    await fleet.operator(["nodes", "enroll-code", "--out", fleet.path(`${name}.code`)]);
    const claim = fleet.claim(name, fleet.path(`${name}.code`));
    const line = await claim.line("the fingerprint", (text) => text.includes("fingerprint"));
    fingerprints.push(JSON.parse(line).fingerprint);
    claims.push(claim);
  }
  const confirm = ["nodes", "confirm", ...names, "--json", "--state-dir", fleet.path("o")];
  const say = (given: readonly string[]) => given.flatMap((text) => ["--fingerprint", text]);
  for (const bad of [[fingerprints[0] ?? ""], [`${names[0]}=${fingerprints[0]}`], [`n9=${fingerprints[0]}`]]) {
    expect(await fleet.run([...confirm, ...say(bad)]), bad[0]).toMatchObject({ code: 2, stdout: "" });
  }
  const [first, second] = names;
  const swapped = await fleet.run([
    ...confirm,
    ...say([`${first}=${fingerprints[0]}`, `${second}=${fingerprints[0]}`]),
  ]);
  expect(swapped.code).toBe(4);
  expect(JSON.parse(swapped.stdout)).toMatchObject({
    confirmed: [{ name: first }],
    refused: [{ node: second, code: "enroll.wrong_fingerprint" }],
  });
  await claims[0]?.finished;
  expect(await fleet.operator(["nodes", "confirm", second, "--fingerprint", fingerprints[1] ?? ""])).toMatchObject({
    name: second,
  });
  await claims[1]?.finished;
}

/** The status that a run on the node gets of the API. */
async function ask(fleet: Fleet, api: FakeApi): Promise<string> {
  const curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", `https://localhost:${api.port}`];
  const { stdout, stderr } = await fleet.run([...runOn(fleet), ...curl]);
  return stdout === "" ? stderr : stdout;
}
