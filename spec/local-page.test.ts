import { mkdir, readFile, stat } from "node:fs/promises";
import { get } from "node:http";
import { join } from "node:path";
import { eventually, startFleet, startWorld, type World } from "@gatehouse/testbed";
import { expect, test } from "vitest";

interface Asking {
  readonly credential?: string;
  readonly method?: "GET" | "POST";
  readonly form?: Readonly<Record<string, string>>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks the host's page as a browser with this credential does. */
async function ask(port: number, path: string, { credential, method = "GET", form, headers = {} }: Asking = {}) {
  const auth = credential === undefined ? {} : { authorization: `Basic ${btoa(`admin:${credential}`)}` };
  const url = `http://127.0.0.1:${port}${path}`;
  const body = form === undefined ? {} : { body: new URLSearchParams(form) };
  const answer = await fetch(url, { method, headers: { ...auth, ...headers }, ...body });
  return { status: answer.status, headers: answer.headers, text: await answer.text() };
}

/** As when a name that somebody else owns leads here. */
function statusUnder(host: string, port: number, credential: string): Promise<number | undefined> {
  const headers = { host, authorization: `Basic ${btoa(`admin:${credential}`)}` };
  return new Promise((resolve, reject) => {
    const asked = get({ host: "127.0.0.1", port, headers }, (answer) => resolve(answer.resume().statusCode));
    asked.once("error", reject);
  });
}

async function credentialOf(stateDir: string): Promise<string> {
  const path = join(stateDir, "local-admin.key");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  return (await readFile(path, "utf8")).trim();
}

async function startDetached(world: World): Promise<string> {
  const env = ["--env", `TESTBED_WORLD=${world.paths.directory}`];
  const { stdout } = await world.cli(["run", "--detach", "--json", ...env, "--", "sleep", "600"]);
  return (JSON.parse(stdout) as { readonly run_id: string }).run_id;
}

async function entriesOf(stateDir: string): Promise<string> {
  return readFile(join(stateDir, "audit", "0000000000000000.jsonl"), "utf8");
}

test("the host's page shows its runs to whoever has the local-admin credential, and to nobody else", async () => {
  await using world = await startWorld();
  await world.daemon.stop();
  const port = Number((await world.daemon.start()).metrics_port);
  const run = await startDetached(world);
  const credential = await credentialOf(world.paths.stateDir);
  expect(credential).toMatch(/^ghl_[A-Za-z0-9_-]{43}$/);
  for (const wrong of [undefined, "", "ghl_", `${credential}A`, credential.slice(0, -1)]) {
    const { status, headers, text } = await ask(port, "/", wrong === undefined ? {} : { credential: wrong });
    expect({ status, text }).toEqual({ status: 401, text: "" });
    expect(headers.get("www-authenticate")).toContain("Basic");
  }
  const page = await ask(port, "/", { credential });
  expect(page.status).toBe(200);
  expect(page.text).toContain(run);
  expect(page.text).not.toContain(credential);
  expect(page.headers.get("content-security-policy")).toContain("frame-ancestors 'none'");
  expect(await statusUnder("attacker.example", port, credential)).toBe(421);
  expect((await ask(port, "/stop-all", { credential })).status).toBe(405);
  expect(world.daemon.log).not.toContain(credential);
});

test("nothing is stopped without the credential, from another site's page, or without a key; then everything is, once, on record", async () => {
  await using world = await startWorld();
  await world.daemon.stop();
  const port = Number((await world.daemon.start()).metrics_port);
  const run = await startDetached(world);
  const registered = await world.request("POST", "/v1/runs", { run_id: "outside" });
  expect(registered.status).toBeLessThan(300);
  const credential = await credentialOf(world.paths.stateDir);
  const form = { idempotency_key: "one" };
  const post = (more: Asking) => ask(port, "/stop-all", { method: "POST", form, ...more });
  expect((await post({})).status).toBe(401);
  expect((await post({ credential, headers: { origin: "http://attacker.example" } })).status).toBe(403);
  expect((await post({ credential, headers: { origin: "http://127.0.0.1:8080" } })).status).toBe(403);
  expect((await post({ credential, headers: { "sec-fetch-site": "same-site" } })).status).toBe(403);
  expect((await post({ credential, form: {} })).status).toBe(400);
  expect(await world.liveRuns()).toEqual([run]);
  const outside = async () => JSON.stringify((await world.request("GET", "/v1/runs")).body).includes('"outside"');
  expect(await outside()).toBe(true);
  expect(await entriesOf(world.paths.stateDir)).not.toContain("node.stop_all");
  const done = await post({ credential, headers: { origin: `http://127.0.0.1:${port}` } });
  expect(done).toMatchObject({ status: 200, text: expect.stringContaining("2 runs were stopped.") });
  await eventually("no run is left", async () => (await world.liveRuns()).length === 0);
  expect(await outside()).toBe(false);
  const later = await startDetached(world);
  expect((await post({ credential })).text).toContain("2 runs were stopped.");
  expect(await world.liveRuns()).toContain(later);
  expect(await world.cliJson(["stop", "--all"])).toEqual({ stopped: [later], failed: [], unwritten: [] });
  await eventually("both are on record", async () => {
    const entries = await entriesOf(world.paths.stateDir);
    return entries.includes('"local_origin":"page"') && entries.includes('"local_origin":"socket"');
  });
  expect((await world.cli(["stop"])).code).toBe(2);
  expect((await world.cli(["stop", later, "--all"])).code).toBe(2);
});

test("while its server is away a node still says how it stands and stops everything; the server hears of it later", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const { nodeId } = await fleet.enrollHost("n1");
  const own = ["--state-dir", fleet.path("n1")];
  const credential = await credentialOf(fleet.path("n1"));
  const daemon = fleet.start(["node", "run", ...own, "--json"]);
  const ready = JSON.parse(await daemon.line("the ready line", (line) => line.includes('"ready":true')));
  const status = () => fleet.json(["node", "status", ...own]);
  await eventually("it is connected", async () => (await status()).connected === true);
  await eventually("a bundle", async () => (await status()).bundle_generation !== null);
  const connected = await status();
  expect(connected).toMatchObject({ node_id: nodeId, daemon: "ok", session_expires_at: expect.any(String) });
  expect(connected.fresh_for_seconds).toBeGreaterThan(0);
  await mkdir(fleet.path("work"));
  const detached = ["run", "--detach", "--json", "--workspace", fleet.path("work"), ...own];
  const started = await fleet.run([...detached, "--", "sleep", "600"]);
  const { run_id: run } = JSON.parse(started.stdout);
  const figures = async () => (await fetch(`http://127.0.0.1:${ready.metrics_port}/metrics`)).text();
  expect(await figures()).toMatch(/^gatehouse_node_server_connected 1$/m);
  expect(await figures()).toMatch(/^gatehouse_node_bundle_generation [1-9]/m);
  expect(await figures()).toMatch(/^gatehouse_node_fresh_seconds [1-9]/m);
  expect(await figures()).toMatch(/^gatehouse_node_spool_bytes \d+$/m);
  await fleet.stopServer();
  await eventually("the server is away", async () => (await status()).connected === false);
  expect(await status()).toMatchObject({
    node_id: nodeId,
    session_expires_at: null,
    bundle_generation: expect.any(Number),
  });
  const page = await ask(ready.metrics_port, "/", { credential });
  expect(page.text).toContain(nodeId);
  expect(page.text).toContain("away");
  expect(await fleet.json(["stop", "--all", ...own])).toEqual({ stopped: [run], failed: [], unwritten: [] });
  await fleet.startServer();
  const out = fleet.path("n1.jsonl");
  await eventually(
    "the server has it",
    async () => {
      const { code } = await fleet.run([
        "audit",
        "export",
        "--node",
        "n1",
        "--out",
        out,
        "--state-dir",
        fleet.path("o"),
      ]);
      return code === 0 && (await readFile(out, "utf8")).includes("node.stop_all_finished");
    },
    { timeoutMs: 60_000 },
  );
  daemon.kill("SIGTERM");
  await daemon.finished;
  expect(await status()).toMatchObject({
    node_id: nodeId,
    daemon: null,
    connected: null,
    spool_bytes: expect.any(Number),
  });
});
