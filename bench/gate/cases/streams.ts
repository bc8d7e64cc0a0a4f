import { median } from "../../median.ts";
import type { Row } from "../../row.ts";
import type { Way } from "../load/order.ts";
import { type Gate, openGate } from "../peers/gate.ts";
import type { OpenPeer, Peer } from "../peers/peer.ts";
import { openAll, type Session, withPeer } from "../session.ts";

const MIB = 1_048_576;
const SAMPLE_EVERY_MS = 50;
/** Until every worker has grown by what any process grows by: buffers and compiled code. A connection goes to any. */
const FIRST_BODIES = 8;

/** A large body down and up, beside the relay; and what the gate's memory grows by meanwhile. */
export async function bulkRows(session: Session, plan: BulkPlan): Promise<Row[]> {
  const measured = await measureBulk(session, plan);
  const size = `${plan.bytes / MIB} MiB`;
  return [
    ...rateRows(`${size} download`, measured.download),
    ...rateRows(`${size} upload`, measured.upload),
    {
      case: `${size} down and up: memory grown`,
      value: measured.grownBytes / MIB,
      unit: "MiB",
      target: { atMost: 64 },
    },
  ];
}

interface BulkPlan {
  readonly peers: Readonly<Record<string, OpenPeer>>;
  readonly rounds: number;
  readonly bytes: number;
}

/** MiB/s of each round, by peer. */
type Rates = Record<string, number[]>;

async function measureBulk(session: Session, { peers, rounds, bytes }: BulkPlan) {
  const measured = { download: {} as Rates, upload: {} as Rates, grownBytes: 0 };
  const opened = await openAll(session, peers);
  for (let body = 0; body < FIRST_BODIES; body += 1) {
    for (const { way } of Object.values(opened)) {
      await session.ask({ kind: "download", way, bytes: bytes / FIRST_BODIES });
      await session.ask({ kind: "upload", way, bytes: bytes / FIRST_BODIES });
    }
  }
  for (let round = 0; round < rounds; round += 1) {
    for (const [name, peer] of Object.entries(opened)) {
      const grownBytes = await measureBoth(session, { name, peer, bytes }, measured);
      if (name === "gate") measured.grownBytes = Math.max(measured.grownBytes, grownBytes);
    }
  }
  for (const peer of Object.values(opened)) await peer[Symbol.asyncDispose]();
  return measured;
}

/** One body down and one up; by how much the peer's memory grew meanwhile. */
async function measureBoth(
  session: Session,
  { name, peer, bytes }: { readonly name: string; readonly peer: Peer; readonly bytes: number },
  measured: Readonly<Record<"download" | "upload", Rates>>,
): Promise<number> {
  const before = peer.process?.residentBytes() ?? 0;
  let most = before;
  for (const kind of ["download", "upload"] as const) {
    const { seconds, mostBytes } = await sampled(peer, () => session.ask({ kind, way: peer.way, bytes }));
    measured[kind][name] = [...(measured[kind][name] ?? []), bytes / MIB / seconds];
    most = Math.max(most, mostBytes);
  }
  return most - before;
}

const BULK_TARGETS: Readonly<Record<string, number>> = { relay: 0.7, gatekeeper: 1.1 };

function rateRows(name: string, rates: Rates): Row[] {
  const medians = Object.fromEntries(Object.entries(rates).map(([peer, values]) => [peer, median(values)]));
  const { gate = Number.NaN, ...peers } = medians;
  const rows: Row[] = [{ case: name, value: gate, unit: "MiB/s", peers, rounds: rates }];
  for (const [peer, atLeast] of Object.entries(BULK_TARGETS)) {
    const others = rates[peer];
    if (others === undefined) continue;
    const ratios = (rates.gate ?? []).map((rate, round) => rate / (others[round] ?? Number.NaN));
    rows.push({ case: `${name}: gate / ${peer}`, value: median(ratios), unit: "×", target: { atLeast } });
  }
  return rows;
}

async function sampled(
  { process }: Peer,
  work: () => Promise<{ readonly seconds: number }>,
): Promise<{ readonly seconds: number; readonly mostBytes: number }> {
  let mostBytes = 0;
  const timer = setInterval(() => {
    mostBytes = Math.max(mostBytes, process?.residentBytes() ?? 0);
  }, SAMPLE_EVERY_MS);
  const { seconds } = await work();
  clearInterval(timer);
  return { seconds, mostBytes };
}

/** How much later than directly the first event, or an echo, arrives: on a host without a grant, and on one with. */
export async function promptRows(session: Session, plan: PromptPlan): Promise<Row[]> {
  return await withPeer(session, plan.direct, (direct) =>
    withPeer(session, openGate, async (gate) => {
      const ways = { direct: direct.way, plain: await registerPlain(session, gate), granted: gate.way };
      return [
        ...promptPair("first server-sent event", await latencies(session, { ...plan, kind: "events", ways })),
        ...promptPair("WebSocket echo", await latencies(session, { ...plan, kind: "echo", ways })),
      ];
    }),
  );
}

interface PromptPlan {
  readonly direct: OpenPeer;
  readonly rounds: number;
  readonly count: number;
}

type Ways = Readonly<Record<"direct" | "plain" | "granted", Way>>;

/** Median latency of each round, less that of going directly in the same round. */
async function latencies(
  session: Session,
  { ways, kind, rounds, count }: PromptPlan & { readonly ways: Ways; readonly kind: "events" | "echo" },
): Promise<{ readonly plain: readonly number[]; readonly granted: readonly number[] }> {
  const added = { plain: [] as number[], granted: [] as number[] };
  for (let round = -1; round < rounds; round += 1) {
    const { p50Ms: base } = await session.ask({ kind, way: ways.direct, count });
    for (const name of ["plain", "granted"] as const) {
      const { p50Ms } = await session.ask({ kind, way: ways[name], count });
      if (round >= 0) added[name].push(p50Ms - base);
    }
  }
  return added;
}

function promptPair(what: string, added: Awaited<ReturnType<typeof latencies>>): Row[] {
  return [
    {
      case: `${what}: added to direct`,
      value: median(added.plain),
      unit: "ms",
      target: { atMost: 0.5 },
      rounds: added,
    },
    { case: `${what} on a host with a grant: added`, value: median(added.granted), unit: "ms" },
  ];
}

function registerPlain({ bench }: Session, gate: Gate) {
  return gate.register({
    run_id: "plain",
    network_policy: "strict",
    network_allow: [`${bench.host}:${bench.originPort}`],
  });
}
