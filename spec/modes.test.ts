import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { request as httpsRequest } from "node:https";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requestUnix } from "@gatehouse/kit";
import {
  eventually,
  type Fleet,
  listProcesses,
  Machine,
  plantValue,
  type RunningCommand,
  startFleet,
} from "@gatehouse/testbed";
import { expect, test } from "vitest";

const NODE_ADMIN = "/gatehouse.admin.v1.NodeAdminService";

test("a server is no node: it has no gate and no local API, knows none of their routes and touches none of their files", async () => {
  await using fleet = await startFleet();
  expect(await readdir(fleet.path("s"))).toEqual(["server", "setup-code"]);
  expect((await listProcesses()).filter(({ parent }) => parent === fleet.serverPid)).toEqual([]);
  for (const path of ["/v1/runs", "/v1/sandboxes", "/v1/status", "/v1/grants"]) {
    expect(await ask(fleet, path)).toMatchObject({ status: 404, code: "api.unknown_path" });
  }
  expect(await readdir(fleet.path("s"))).toEqual(["server", "setup-code"]);
});

test("a node is no server: it refuses to start before it belongs to one, and then knows no route of an operator", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const own = ["--state-dir", fleet.path("n1")];
  const refused = await fleet.run(["node", "run", ...own]);
  expect(refused).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining("gatehouse node enroll") });
  expect(refused.stderr.trim().split("\n")).toHaveLength(1);
  expect(await readdir(fleet.path("n1"))).not.toContain("daemon.lock");
  await fleet.enrollHost("n1");
  const daemon = fleet.start(["node", "run", ...own, "--json"]);
  await isConnected(daemon);
  const files = await readdir(fleet.path("n1"));
  for (const other of ["server", "setup-code", "operator"]) expect(files).not.toContain(other);
  for (const path of [`${NODE_ADMIN}/ListNodes`, "/.well-known/gatehouse", "/v1/nodes"]) {
    for (const socket of ["daemon.sock", "node.sock"]) {
      const answer = await requestUnix({ socketPath: fleet.path("n1", socket), method: "POST", path, body: {} });
      expect(answer).toMatchObject({ status: 404, body: { code: "api.unknown_path" } });
    }
  }
});

test("an installation of one machine grows into a server with nodes: grants, runs and audit log go on", async () => {
  await using grown = await growUp();
  const { fleet, runId } = grown;
  const [local] = await eventually("this machine is a node of its own server", async () => {
    const nodes = await fleet.operator(["nodes", "ls"]);
    return nodes[0]?.liveness === "online" ? nodes : undefined;
  });
  expect(await fleet.operator(["ls"])).toMatchObject([{ run_id: runId, state: "running", grants: ["own"] }]);
  await eventually("its runs are reported", async () => {
    const runs = await fleet.operator(["ls", "--node", local.name]);
    return runs.some((run: { run_id: string }) => run.run_id === runId) ? true : undefined;
  });
  await eventually(
    "its figures are stored",
    async () => {
      const { text } = await ask(fleet, `${NODE_ADMIN}/QueryTelemetry`, {
        nodeId: local.id,
        to: String(Number.MAX_SAFE_INTEGER),
      });
      return text.includes("gate.requests_allowed") ? true : undefined;
    },
    { timeoutMs: 30_000, everyMs: 500 },
  );
  await fleet.enrollHost("n2");
  await isConnected(fleet.start(["node", "run", "--state-dir", fleet.path("n2"), "--json"]));
  const there = ["run", "--node", "n2", "--state-dir", fleet.path("s"), "--"];
  expect((await fleet.run([...there, "sh", "-c", "exit 7"])).code).toBe(7);
  const elsewhere = await fleet.run([
    ...there.slice(0, -1),
    "--detach",
    "--json",
    "--",
    "sh",
    "-c",
    "echo there; exec sleep 300",
  ]);
  const other = JSON.parse(elsewhere.stdout).run_id;
  expect(await fleet.operator(["stop", other, runId])).toEqual({ stopped: [other, runId] });
  expect((await fleet.run(["logs", other, "--state-dir", fleet.path("s")])).stdout).toBe("there\n");

  await writeFile(fleet.path("value"), plantValue(), { mode: 0o600 });
  const sealed = ["--host", "api.example.com", "--nodes", "n2", "--value-file", fleet.path("value")];
  await fleet.operator(["credentials", "add", "sealed", ...sealed]);
  const names = async () => (await fleet.operator(["credentials", "ls"])).map(({ name }: { name: string }) => name);
  expect(await names()).toEqual(["sealed", "own"]);
  expect(await fleet.operator(["revoke", "own", "sealed"])).toEqual({ revoked: ["own", "sealed"] });
  expect(await names()).toEqual([]);
  // The node's own log begins where it began when it was alone.
  expect(await fleet.json(["audit", "verify", fleet.path("s")])).toMatchObject({ ok: true });
  expect(await readFile(fleet.path("before.jsonl"), "utf8")).toContain('"run.registered"');
  const verified = ["audit", "verify", fleet.path("s"), "--earlier", fleet.path("before.jsonl")];
  expect(await fleet.json(verified)).toMatchObject({ ok: true });
});

test("it moves to another machine by backup and restore: its own host and the others join there, and nothing is wiped", async () => {
  await using grown = await growUp();
  const { fleet, runId } = grown;
  await fleet.enrollHost("n2");
  const host = fleet.start(["node", "run", "--state-dir", fleet.path("n2"), "--json"]);
  await isConnected(host);
  const backup = fleet.path("backup");
  await fleet.json(["server", "backup", "--state-dir", fleet.path("s"), "--out", backup]);
  expect(await fleet.stopServer()).toBe(0);

  const moved = fleet.path("moved");
  expect(await fleet.json(["server", "restore", backup, "--state-dir", moved])).toEqual({ epoch: 2 });
  const listen = ["--listen", `127.0.0.1:${fleet.serverPort}`, "--json"];
  const server = fleet.start(["server", "--state-dir", moved, ...listen]);
  const ready = JSON.parse(await server.line("the server's ready line", (line) => line.includes('"ready":true')));
  expect(ready.url).toBe(fleet.url);
  await isConnected(fleet.start(["node", "run", "--state-dir", fleet.path("s"), "--json"]));
  await eventually(
    "both hosts are connected",
    async () => {
      const nodes = await fleet.operator(["nodes", "ls"]);
      return nodes.length === 2 && nodes.every(({ connected }: { connected: boolean }) => connected) ? true : undefined;
    },
    { timeoutMs: 60_000 },
  );
  expect(await fleet.operator(["ls"])).toMatchObject([{ run_id: runId, state: "running", grants: ["own"] }]);
  const there = ["run", "--node", "n2", "--state-dir", fleet.path("s"), "--", "sh", "-c", "exit 7"];
  expect(await fleet.run(there)).toMatchObject({ code: 7, stderr: "" });
  expect(await fleet.operator(["stop", runId])).toEqual({ stopped: [runId] });
});

test.each(["operator/org.key", "operator/server.json", "enrollment.json", "operator/node-names.json"])(
  "its first start may be killed anywhere, as here once %s is there: the next one goes on",
  async (file) => {
    const directory = await mkdtemp(join(tmpdir(), "gh-modes-"));
    await using machine = await Machine.open(directory);
    const own = ["--listen", `127.0.0.1:${await freePort()}`, "--state-dir", machine.path("s"), "--json"];
    const killed = machine.start(["up", ...own]);
    await eventually(file, () => existsSync(machine.path("s", file)) || undefined, { everyMs: 1 });
    killed.kill("SIGKILL");
    await killed.finished;
    await isConnected(machine.start(["up", ...own]));
    expect(await machine.json(["nodes", "ls", "--state-dir", machine.path("s")])).toMatchObject([
      { state: "confirmed", connected: true },
    ]);
    await machine[Symbol.asyncDispose]();
    await rm(directory, { recursive: true });
  },
);

test("options that contradict one another, and a host of another server, are refused before anything is opened", async () => {
  const directory = await mkdtemp(join(tmpdir(), "gh-modes-"));
  await using machine = await Machine.open(directory);
  for (const [args, says] of [
    [["--url", "https://example.com:8443"], "--listen"],
    [["--listen", "0.0.0.0:0"], "--url"],
    [["--listen", "127.0.0.1"], "host:port"],
    [["--listen", "127.0.0.1:0", "--take-over"], "--take-over"],
    [["--listen", "127.0.0.1:0", "--until-empty"], "--until-empty"],
  ] as const) {
    const refused = await machine.run(["up", "--state-dir", machine.path("s"), ...args]);
    expect(refused).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(says) });
  }
  expect(await readdir(machine.directory)).not.toContain("s");
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const foreign = await fleet.run(["up", "--listen", "127.0.0.1:0", "--state-dir", fleet.path("n1")]);
  expect(foreign).toMatchObject({ code: 2, stdout: "", stderr: expect.stringContaining(fleet.url) });
  const files = await readdir(fleet.path("n1"));
  for (const other of ["server", "setup-code", "operator", "daemon.sock"]) expect(files).not.toContain(other);
  await rm(directory, { recursive: true });
});

/** A machine that was alone, with a grant and a run that goes on, and is then started as a server too. */
async function growUp() {
  let runId = "";
  const fleet = await startFleet({
    isCombined: true,
    before: async (machine) => {
      const own = ["--state-dir", machine.path("s")];
      const alone = machine.start(["up", ...own, "--json"]);
      await alone.line("the ready line", (line) => line.includes('"ready":true'));
      await writeFile(machine.path("own-value"), plantValue(), { mode: 0o600 });
      const value = ["--host", "api.example.com", "--value-file", machine.path("own-value")];
      await machine.json(["credentials", "add", "own", ...value, ...own]);
      await mkdir(machine.path("workspace"));
      const run = ["run", "--detach", "--json", "--grant", "own", "--workspace", machine.path("workspace"), ...own];
      runId = JSON.parse((await machine.run([...run, "--", "sleep", "600"])).stdout).run_id;
      await machine.json(["audit", "export", "--out", machine.path("before.jsonl"), ...own]);
      alone.kill("SIGTERM");
      await alone.finished;
    },
  });
  return {
    fleet,
    runId,
    [Symbol.asyncDispose]: async () => {
      // Runs outlive their daemon: one that a failed test left would outlive the test.
      await fleet.run(["stop", runId, "--state-dir", fleet.path("s")]);
      await fleet[Symbol.asyncDispose]();
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function isConnected(daemon: RunningCommand): Promise<void> {
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await eventually("the node is connected", () =>
    `${daemon.stdout}${daemon.stderr}`.includes("connected to the server") ? true : undefined,
  );
}

/** Asks a server as its owner, over its only port. */
async function ask(fleet: Fleet, path: string, body: object = {}) {
  const key = await readFile(fleet.path("s", "operator", "api.key"), "utf8").catch(() => "none");
  const headers = { "content-type": "application/json", authorization: `Bearer ${key.trim()}` };
  const options = { method: "POST", agent: false, rejectUnauthorized: false, headers };
  const { status, text } = await new Promise<{ status: number; text: string }>((resolve, reject) => {
    const call = httpsRequest(`${fleet.url}${path}`, options, (answer) => {
      let said = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        said += part;
      });
      answer.once("end", () => resolve({ status: answer.statusCode ?? 0, text: said }));
    });
    call.once("error", reject).end(JSON.stringify(body));
  });
  return { status, text, code: text.startsWith("{") ? JSON.parse(text).code : undefined };
}
