import { mkdtempSync, rmSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as wait } from "node:timers/promises";
import { median, quantile } from "../median.ts";
import type { Row } from "../row.ts";
import { type BenchOperator, openBenchOperator } from "./bench-operator.ts";
import { command } from "./command.ts";
import { measureBare } from "./measure-bare.ts";
import { measureEnrollment } from "./measure-enrollment.ts";
import { measureReplicas } from "./measure-replicas.ts";
import { prepareFleet, startServer } from "./measured-server.ts";
import { type Parts, timed } from "./parts.ts";
import { SEEDED_CREDENTIAL } from "./seed-fleet.ts";
import { Simulators } from "./simulators.ts";

const SIMULATORS = 2;
const CONCURRENCY = 32;
const KIB = 1_024;
const BARE = "bare node:http2";
const SINGLE_COMMANDS = 50;
const PROBE_EVERY_MS = 100;
/** So long nobody says anything but that connections live. */
const REST_MS = 30_000;

/** A server and simulated nodes with real keys, connections and protocol, at growing sizes. */
export async function benchFleet({ isShort }: { readonly isShort: boolean }): Promise<readonly Row[]> {
  const asked = process.env.FLEET_SIZES?.split(",").map(Number);
  const rows: Row[] = [];
  for (const count of asked ?? (isShort ? [100] : [100, 1_000, 10_000])) rows.push(...(await measureFleet(count)));
  return [...rows, ...(await measureReplicas())];
}

async function measureFleet(count: number): Promise<readonly Row[]> {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-bench-"));
  try {
    const fleet = await prepareFleet(directory, count);
    await using server = await startServer(directory, fleet.server.url);
    await using nodes = await Simulators.start(fleet.seeds, fleet.server, SIMULATORS);
    const label = (text: string) => `${count.toLocaleString("en-US")} nodes: ${text}`;
    using operator = await openBenchOperator(fleet.operatorDir);
    const parts = { server, nodes, operator, count, label, idleBytes: server.residentBytes() };
    const { orgKey, roster } = fleet;
    return [
      ...(await measureReturn(parts)),
      ...(await measureHeartbeats(parts)),
      ...(await measureCommands(parts)),
      ...(await measureBundles(parts)),
      ...(await measureRevocation(parts)),
      ...(await measureLists(parts)),
      ...(await measureEnrollment(parts, { orgKey, roster, server: fleet.server })),
      { case: label("load average"), value: loadavg()[0] ?? 0, unit: "" },
    ];
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Everybody comes back at once, as after a restart: TLS, handshake, control stream. An operator asks meanwhile. */
async function measureReturn({ server, nodes, operator, count, label, idleBytes }: Parts): Promise<readonly Row[]> {
  const probe = probeOther(operator);
  const { values, seconds, cpuSeconds } = await timed(server, () =>
    nodes.all({ kind: "connect", concurrency: CONCURRENCY }),
  );
  const others = await probe.stop();
  const held = (server.residentBytes() - idleBytes) / count / KIB;
  const bare = await measureBare(count);
  return [
    { case: label("all back after a restart"), value: seconds, unit: "s", target: { atMost: 60 } },
    { case: label("TLS, handshake, control stream, per second"), value: count / seconds, unit: "nodes/s" },
    { case: label("the same"), value: (cpuSeconds / count) * 1e3, unit: "ms CPU", peers: { [BARE]: bare.cpuMsEach } },
    { case: label("the same, p99"), value: quantile(values, 0.99), unit: "ms" },
    {
      case: label("an operator's call meanwhile, p99"),
      value: quantile(others, 0.99),
      unit: "ms",
      target: { atMost: 500 },
    },
    {
      case: label("resident of an idle control stream"),
      value: held,
      unit: "KiB",
      target: { atMost: 120 },
      peers: { [BARE]: bare.bytesEach / KIB },
    },
  ];
}

function probeOther({ nodes }: BenchOperator) {
  const took: number[] = [];
  let isOver = false;
  const running = (async () => {
    while (!isOver) {
      const startedMs = performance.now();
      await nodes.listNodes({ pageSize: 1 });
      took.push(performance.now() - startedMs);
      await wait(PROBE_EVERY_MS);
    }
  })();
  return {
    stop: async () => {
      isOver = true;
      await running;
      return took;
    },
  };
}

async function measureHeartbeats({ server, nodes, count, label, idleBytes }: Parts): Promise<readonly Row[]> {
  await nodes.all({ kind: "heartbeat", concurrency: CONCURRENCY });
  const { cpuSeconds } = await timed(server, () => nodes.all({ kind: "heartbeat", concurrency: CONCURRENCY }));
  const rest = await timed(server, () => wait(REST_MS, []));
  return [
    {
      case: label("streams at rest, pings and greetings alone, of one core"),
      value: (rest.cpuSeconds / rest.seconds) * 100,
      unit: "%",
    },
    {
      case: label("resident of a control stream after that rest"),
      value: (server.residentBytes() - idleBytes) / count / KIB,
      unit: "KiB",
      target: { atMost: 120 },
    },
    { case: label("a heartbeat"), value: (cpuSeconds / count) * 1e6, unit: "µs CPU" },
    {
      case: label("heartbeats every 30 s, of one core"),
      value: (cpuSeconds / 30) * 100,
      unit: "%",
      target: { atMost: 15 },
    },
  ];
}

async function measureCommands({ server, operator, count, label }: Parts): Promise<readonly Row[]> {
  const all = await timed(server, () => command(operator, { labels: { fleet: "bench" } }));
  const page = await operator.nodes.listNodes({ pageSize: SINGLE_COMMANDS });
  const single: number[] = [];
  for (const { id } of page.nodes) {
    const startedMs = performance.now();
    await command(operator, { nodeIds: [id] });
    single.push(performance.now() - startedMs);
  }
  return [
    { case: label("a command to all, acknowledged"), value: all.seconds, unit: "s", target: { atMost: 5 } },
    { case: label("the same, of each"), value: (all.cpuSeconds / count) * 1e3, unit: "ms CPU" },
    { case: label("a command to one, acknowledged, p50"), value: median(single), unit: "ms", target: { atMost: 10 } },
  ];
}

async function measureBundles({ server, nodes, operator, count, label }: Parts): Promise<readonly Row[]> {
  const put = async (mode: string, generation: number) => {
    const policy = new TextEncoder().encode(`{"mode":"${mode}"}`);
    await operator.policies.putPolicy({ name: "bench", policy });
    return nodes.all({ kind: "applied", generation });
  };
  const first = await put("strict", 2);
  const { values, seconds, cpuSeconds } = await timed(server, () => put("permissive", 3));
  return [
    { case: label("a change of all bundles, applied"), value: seconds, unit: "s", target: { atMost: 10 } },
    { case: label("the same, of each"), value: (cpuSeconds / count) * 1e3, unit: "ms CPU" },
    {
      case: label("the same, sent to each"),
      value: median(values),
      unit: "bytes",
      peers: { "a whole bundle": median(first) },
    },
  ];
}

/**
 * From the click until every node holds the word of it. Who was told fetches its next bundle while others are told yet,
 * so the CPU is that of both, until all have applied it.
 */
async function measureRevocation({ server, nodes, operator, count, label }: Parts): Promise<readonly Row[]> {
  let heardSeconds = 0;
  const { cpuSeconds } = await timed(server, async () => {
    const startedMs = performance.now();
    await operator.credentials.revokeCredential({ name: SEEDED_CREDENTIAL });
    await nodes.all({ kind: "revoked", revocations: 1 });
    heardSeconds = (performance.now() - startedMs) / 1_000;
    return nodes.all({ kind: "applied", generation: 4 });
  });
  const target = { atMost: count <= 1_000 ? 1 : 10 };
  return [
    { case: label("a credential revoked, heard by all"), value: heardSeconds, unit: "s", target },
    {
      case: label("the same, of each, with the bundle that follows"),
      value: (cpuSeconds / count) * 1e3,
      unit: "ms CPU",
    },
  ];
}

async function measureLists({ server, operator, count, label }: Parts): Promise<readonly Row[]> {
  const pageSize = Math.min(count, 2_500);
  const took: number[] = [];
  const { cpuSeconds } = await timed(server, async () => {
    for (let round = 0; round < 5; round += 1) {
      const startedMs = performance.now();
      await operator.nodes.listNodes({ pageSize });
      took.push(performance.now() - startedMs);
    }
    return [];
  });
  return [
    { case: label(`a list of ${pageSize}`), value: median(took), unit: "ms", target: { atMost: 150 } },
    { case: label("the same"), value: (cpuSeconds / 5) * 1e3, unit: "ms CPU" },
  ];
}
