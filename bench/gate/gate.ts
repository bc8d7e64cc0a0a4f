// The gate beside its peers: CPU per request, requests per second and latency, rounds interleaved, medians reported.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Measured, startProgram } from "../process.ts";
import type { Row } from "../row.ts";
import type { LoadOrder, LoadResult } from "./load.ts";
import { type Bench, installedPeers, openDirect, openGate, openRelay, type Peer } from "./peers.ts";

const HOST = "localhost";

interface Round extends LoadResult {
  readonly cpuUsPerRequest: number;
}

/** Runs every case. The short form has fewer and shorter rounds. */
export async function benchGate({ isShort }: { readonly isShort: boolean }): Promise<Row[]> {
  const rounds = isShort ? 3 : 7;
  const seconds = isShort ? 1 : 3;
  const dir = mkdtempSync(join(tmpdir(), "gatehouse-bench-"));
  const opened: AsyncDisposable[] = [];
  try {
    const bench = await openBench(dir, opened);
    const load = await startProgram(new URL("./load.ts", import.meta.url), []);
    opened.push(load);
    const peers: Peer[] = [];
    for (const open of [openDirect, openRelay, openGate, ...installedPeers()]) {
      const peer = await open(bench);
      opened.push(peer);
      peers.push(peer);
    }
    const rows: Row[] = [];
    for (const connections of [1, 32]) {
      const results = await interleave({ bench, load, peers, connections, rounds, seconds });
      rows.push(...report(connections, results));
    }
    return rows;
  } finally {
    for (const one of opened.reverse()) await one[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  }
}

async function openBench(dir: string, opened: AsyncDisposable[]): Promise<Bench> {
  const file = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore" });
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
  openssl("req", "-x509", ...ec, "-keyout", file("ca.key"), "-out", file("ca.pem"), "-subj", "/CN=bench CA");
  openssl("req", ...ec.slice(0, 5), "-keyout", file("origin.key"), "-out", file("origin.csr"), "-subj", `/CN=${HOST}`);
  writeFileSync(file("ext"), `subjectAltName=DNS:${HOST}\n`);
  const signing = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial", "-extfile", file("ext")];
  openssl("x509", "-req", "-in", file("origin.csr"), ...signing, "-days", "2", "-out", file("origin.pem"));
  const origin = await startProgram(new URL("./origin.ts", import.meta.url), [file("origin.pem"), file("origin.key")]);
  opened.push(origin);
  return {
    dir,
    host: HOST,
    originPort: Number(origin.ready.port),
    certFile: file("origin.pem"),
    keyFile: file("origin.key"),
    caFile: file("ca.pem"),
  };
}

interface Plan {
  readonly bench: Bench;
  readonly load: Measured;
  readonly peers: readonly Peer[];
  readonly connections: number;
  readonly rounds: number;
  readonly seconds: number;
}

async function interleave(plan: Plan): Promise<Map<string, Round[]>> {
  const results = new Map<string, Round[]>(plan.peers.map(({ name }) => [name, []]));
  for (let round = -1; round < plan.rounds; round += 1) {
    for (const peer of plan.peers) {
      const result = await oneRound(plan, peer);
      if (round >= 0) results.get(peer.name)?.push(result);
    }
  }
  return results;
}

async function oneRound({ bench, load, connections, seconds }: Plan, peer: Peer): Promise<Round> {
  const order: LoadOrder = {
    proxyPort: peer.proxyPort,
    proxyToken: peer.proxyToken,
    originPort: peer.originPort,
    host: bench.host,
    caFile: await trustedBy(bench, peer),
    connections,
    seconds,
  };
  const before = peer.process?.cpuSeconds() ?? 0;
  const result = await new Promise<LoadResult>((resolve) => {
    load.child.once("message", (message) => resolve(message as LoadResult));
    load.child.send(order);
  });
  if (result.failures > 0) throw new Error(`${peer.name}: ${result.failures} requests failed`);
  const cpu = (peer.process?.cpuSeconds() ?? 0) - before;
  return { ...result, cpuUsPerRequest: (cpu * 1e6) / result.requests };
}

/** The gate signs with its own CA; it is read from the state directory that the bench made. */
function trustedBy(bench: Bench, peer: Peer): Promise<string> {
  return Promise.resolve(peer.name === "gate" ? join(bench.dir, "state/ca/interception.crt") : bench.caFile);
}

function report(connections: number, results: ReadonlyMap<string, readonly Round[]>): Row[] {
  const median = (name: string, pick: (round: Round) => number) => {
    const values = (results.get(name) ?? []).map(pick).sort((a, b) => a - b);
    return values[Math.floor(values.length / 2)] ?? Number.NaN;
  };
  const perSecond = (name: string) => median(name, ({ requests, seconds }) => requests / seconds);
  const row = (what: string, value: number, more: Partial<Row> & Pick<Row, "unit">): Row => ({
    case: `${connections} warm connections, 1 KiB: ${what}`,
    value: Math.round(value * 1000) / 1000,
    ...more,
  });
  const rows: Row[] = [];
  for (const name of results.keys()) {
    rows.push(row(`${name} requests`, perSecond(name), { unit: "1/s" }));
    rows.push(row(`${name} p50`, median(name, ({ p50Us }) => p50Us) / 1000, { unit: "ms" }));
    if (name !== "direct")
      rows.push(
        row(
          `${name} CPU`,
          median(name, (r) => r.cpuUsPerRequest),
          { unit: "us/request" },
        ),
      );
  }
  const cpu = (name: string) => median(name, ({ cpuUsPerRequest }) => cpuUsPerRequest);
  const targets: Readonly<Record<string, number>> = { relay: 2, nginx: 1.4, squid: 0.6 };
  for (const [peer, target] of Object.entries(targets)) {
    if (!results.has(peer) || connections === 1) continue;
    rows.push(row(`gate CPU / ${peer} CPU`, cpu("gate") / cpu(peer), { unit: "ratio", atMost: target }));
    rows.push(row(`gate requests / ${peer} requests`, perSecond("gate") / perSecond(peer), { unit: "ratio" }));
  }
  if (connections === 1) {
    const p50 = (name: string) => median(name, ({ p50Us }) => p50Us) / 1000;
    rows.push(row("gate p50 added over direct", p50("gate") - p50("direct"), { unit: "ms", atMost: 0.25 }));
  }
  return rows;
}
