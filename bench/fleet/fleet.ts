import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Measured, startCommand, startProgram } from "../process.ts";
import type { Row } from "../row.ts";
import { seedFleet } from "./seed-fleet.ts";
import type { NodeSeed, ServerSeed } from "./simulated-node.ts";

const PRODUCT = fileURLToPath(new URL("../../dist/gatehouse.js", import.meta.url));
const NODES = new URL("nodes.ts", import.meta.url);
const SIMULATORS = 2;
const CONCURRENCY = 32;
const KIB = 1_024;

/** A server and simulated nodes with real keys, connections and protocol, at growing sizes. */
export async function benchFleet({ isShort }: { readonly isShort: boolean }): Promise<readonly Row[]> {
  const rows: Row[] = [];
  for (const count of isShort ? [100] : [100, 1_000, 10_000]) rows.push(...(await measureFleet(count)));
  return rows;
}

async function measureFleet(count: number): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-bench-"));
  for (const name of ["s", "o"]) mkdirSync(join(directory, name), { mode: 0o700 });
  try {
    const { server: seed, seeds } = await prepare(directory, count);
    await using server = await startServer(directory, seed.url);
    const simulators = await Promise.all(split(seeds, SIMULATORS).map((part) => startSimulator(part, seed)));
    await using _ = { [Symbol.asyncDispose]: async () => void (await Promise.all(simulators.map(stop))) };
    const idleBytes = server.residentBytes();
    const connect = await timed(server, () => all(simulators, { kind: "connect", concurrency: CONCURRENCY }));
    const held = (server.residentBytes() - idleBytes) / count / KIB;
    const beat = await timed(server, () => all(simulators, { kind: "heartbeat", concurrency: CONCURRENCY }));
    const p99 = [...connect.took].sort((a, b) => a - b)[Math.floor(connect.took.length * 0.99)] ?? 0;
    const label = `${count.toLocaleString("en-US")} nodes`;
    return [
      { case: `${label}: TLS, handshake and session, per second`, value: count / connect.seconds, unit: "nodes/s" },
      { case: `${label}: all back after a restart`, value: connect.seconds, unit: "s", target: { atMost: 60 } },
      { case: `${label}: handshake p99 under that storm`, value: p99, unit: "ms" },
      { case: `${label}: resident of an idle session`, value: held, unit: "KiB", target: { atMost: 120 } },
      { case: `${label}: a heartbeat`, value: (beat.cpuSeconds / count) * 1e6, unit: "µs CPU" },
      {
        case: `${label}: heartbeats every 30 s, of one core`,
        value: (beat.cpuSeconds / 30) * 100,
        unit: "%",
        target: { atMost: 15 },
      },
    ];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Makes an organisation by the product's own commands, then the nodes, with the server stopped. */
async function prepare(directory: string, count: number): Promise<{ server: ServerSeed; seeds: readonly NodeSeed[] }> {
  const server = await startServer(directory, undefined);
  const own = ["--setup-code-file", join(directory, "s/setup-code"), "--state-dir", join(directory, "o"), "--json"];
  const init = ["org", "init", "--server", server.url, "--org", "bench", "--owner", "bench", ...own];
  const { org_id } = JSON.parse(execFileSync(process.execPath, [PRODUCT, ...init], { encoding: "utf8" }));
  await server[Symbol.asyncDispose]();
  const known = JSON.parse(readFileSync(join(directory, "o/operator/server.json"), "utf8"));
  const seeds = seedFleet(join(directory, "s/server/server.db"), org_id, count);
  return { server: { url: server.url, identityKey: known.server_identity_key, keySet: known.key_set }, seeds };
}

async function startServer(directory: string, url: string | undefined): Promise<Measured & { readonly url: string }> {
  const listen = url === undefined ? "127.0.0.1:0" : new URL(url).host;
  const args = ["server", "--state-dir", join(directory, "s"), "--listen", listen, "--json"];
  const started = startCommand(process.execPath, [PRODUCT, ...args], { ...process.env, GATEHOUSE_LOG_LEVEL: "error" });
  const [line] = (await once(started.child.stdout ?? process.stdin, "data")) as [Buffer];
  return { ...started, url: (JSON.parse(line.toString()) as { url: string }).url };
}

async function startSimulator(seeds: readonly NodeSeed[], server: ServerSeed): Promise<Measured> {
  const started = await startProgram(NODES, []);
  await tell(started.child, { kind: "nodes", seeds, server });
  return started;
}

async function all(simulators: readonly Measured[], order: object): Promise<readonly number[]> {
  return (await Promise.all(simulators.map(({ child }) => tell(child, order)))).flat();
}

async function tell(child: ChildProcess, order: object): Promise<readonly number[]> {
  const answered = once(child, "message") as Promise<[{ kind: string; took: readonly number[]; why?: string }]>;
  child.send(order);
  const [{ kind, took, why }] = await answered;
  if (kind !== "done") throw new Error(`a simulator failed: ${why}`);
  return took;
}

async function timed(server: Measured, work: () => Promise<readonly number[]>) {
  const [startedMs, cpu] = [performance.now(), server.cpuSeconds()];
  const took = await work();
  return { took, seconds: (performance.now() - startedMs) / 1_000, cpuSeconds: server.cpuSeconds() - cpu };
}

function stop(simulator: Measured): PromiseLike<void> {
  return simulator[Symbol.asyncDispose]();
}

function split<T>(list: readonly T[], parts: number): readonly (readonly T[])[] {
  return Array.from({ length: parts }, (_, part) => list.filter((__, index) => index % parts === part));
}
