import { median } from "../../median.ts";
import type { Row, Target } from "../../row.ts";
import type { LoadResult } from "../load/order.ts";
import type { OpenPeer, Peer } from "../peers/peer.ts";
import { type Session, withPeer } from "../session.ts";

/** How long and how often each peer is measured. */
export interface WarmPlan {
  readonly peers: Readonly<Record<string, OpenPeer>>;
  readonly rounds: number;
  readonly warmUpRequests: number;
  /** Requests of one measurement, by the number of connections. */
  readonly requests: Readonly<Record<number, number>>;
  /** Slow peers are measured for so long, however few requests that is. */
  readonly maxSeconds: number;
}

type Figure = "cpuUs" | "perSecond" | "p50Ms" | "p99Ms";
type Measurement = Readonly<Record<Figure, number>>;

/** Measurements by peer, connections and round. */
export class WarmResults {
  readonly #measured = new Map<string, Measurement[]>();

  add(peer: string, connections: number, measurement: Measurement): void {
    const key = `${peer} ${connections}`;
    this.#measured.set(key, [...(this.#measured.get(key) ?? []), measurement]);
  }

  forget(peer: string): void {
    for (const key of this.#measured.keys()) if (key.startsWith(`${peer} `)) this.#measured.delete(key);
  }

  /** Peers that were measured, in the order of the rounds. */
  get peers(): readonly string[] {
    return [...new Set([...this.#measured.keys()].map((key) => key.slice(0, key.indexOf(" "))))];
  }

  rounds(peer: string, connections: number, figure: Figure): readonly number[] {
    return (this.#measured.get(`${peer} ${connections}`) ?? []).map((one) => one[figure]);
  }

  median(peer: string, connections: number, figure: Figure): number {
    return median(this.rounds(peer, connections, figure));
  }

  /** Median over the rounds of what `combine` makes of two peers' figures in the same round. */
  across(
    [one, other]: readonly [string, string],
    {
      connections,
      figure,
      combine,
    }: { connections: number; figure: Figure; combine: (a: number, b: number) => number },
  ): number {
    const others = this.rounds(other, connections, figure);
    return median(
      this.rounds(one, connections, figure).map((value, round) => combine(value, others[round] ?? Number.NaN)),
    );
  }
}

/** Rounds over all peers, each started anew and warmed up in each round. A stranger that fails is left out, and named. */
export async function measureWarm(session: Session, plan: WarmPlan): Promise<WarmResults> {
  const results = new WarmResults();
  const failed = new Set<string>();
  for (let round = 0; round < plan.rounds; round += 1) {
    for (const [name, open] of Object.entries(plan.peers)) {
      if (failed.has(name)) continue;
      const failure = await failureOf(name, () =>
        withPeer(session, open, (peer) => measurePeer(session, { name, peer, plan }, results)),
      );
      if (failure === undefined) continue;
      failed.add(name);
      results.forget(name);
      console.log(`without ${name}: it failed (${failure})`);
    }
  }
  return results;
}

async function failureOf(name: string, work: () => Promise<void>): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (failure) {
    if (OWN.has(name)) throw failure;
    return failure instanceof Error ? failure.message.trim() : String(failure);
  }
}

/** Warming up may take longer than measuring, or on a busy machine it would end before the code is compiled. */
const WARM_UP_TIMES = 4;

const OWN: ReadonlySet<string> = new Set(["direct", "relay", "gate"]);

async function measurePeer(
  session: Session,
  { name, peer, plan }: { readonly name: string; readonly peer: Peer; readonly plan: WarmPlan },
  results: WarmResults,
): Promise<void> {
  const { way } = peer;
  const { maxSeconds, warmUpRequests } = plan;
  const warmUpSeconds = maxSeconds * WARM_UP_TIMES;
  await session.ask({ kind: "warm", way, connections: 32, requests: warmUpRequests, maxSeconds: warmUpSeconds });
  for (const [count, requests] of Object.entries(plan.requests)) {
    const connections = Number(count);
    const load = () => session.ask({ kind: "warm", way, connections, requests, maxSeconds });
    results.add(name, connections, await measureOne(peer, load));
  }
}

async function measureOne({ process }: Peer, load: () => Promise<LoadResult>): Promise<Measurement> {
  const before = process?.cpuSeconds() ?? 0;
  const { requests, seconds, p50Ms, p99Ms } = await load();
  const cpuSeconds = (process?.cpuSeconds() ?? 0) - before;
  return { cpuUs: (cpuSeconds * 1e6) / requests, perSecond: requests / seconds, p50Ms, p99Ms };
}

const CPU_TARGETS: Readonly<Record<string, number>> = { relay: 2, nginx: 1.4, squid: 0.6, gatekeeper: 0.3 };
const THROUGHPUT_TARGETS: Readonly<Record<string, number>> = { squid: 1.5, gatekeeper: 2.5, "node:http": 3 };
const divide = (a: number, b: number) => a / b;
const subtract = (a: number, b: number) => a - b;

/** The rows of the table that are about warm connections. */
export function warmRows(results: WarmResults, { requests }: WarmPlan): Row[] {
  const others = results.peers.filter((name) => name !== "gate");
  const counts = Object.keys(requests).map(Number);
  const table = { results, others };
  return [
    ...(counts.includes(32) ? cpuRows(table) : []),
    ...(counts.includes(1) ? latencyRows(table) : []),
    ...counts.filter((count) => count > 1).flatMap((count) => throughputRows(table, count)),
  ];
}

interface Table {
  readonly results: WarmResults;
  readonly others: readonly string[];
}

function cpuRows({ results, others }: Table): Row[] {
  const where = { connections: 32, figure: "cpuUs" } as const;
  const rows = [row({ results, others: others.filter((name) => name !== "direct") }, "CPU per request", where, "µs")];
  for (const name of others) {
    const atMost = CPU_TARGETS[name];
    if (atMost === undefined) continue;
    const value = results.across(["gate", name], { ...where, combine: divide });
    rows.push({ case: `CPU per request: gate / ${name}`, value, unit: "×", target: { atMost } });
  }
  return rows;
}

function latencyRows({ results, others }: Table): Row[] {
  const added = (name: string, figure: "p50Ms" | "p99Ms") =>
    results.across([name, "direct"], { connections: 1, figure, combine: subtract });
  const addedRow = (figure: "p50Ms" | "p99Ms", atMost: number): Row => ({
    case: `1 connection: ${figure.slice(0, 3)} added to direct`,
    value: added("gate", figure),
    unit: "ms",
    target: { atMost },
    peers: Object.fromEntries(others.filter((name) => name !== "direct").map((name) => [name, added(name, figure)])),
  });
  const ratio = added("gate", "p50Ms") / added("relay", "p50Ms");
  return [
    addedRow("p50Ms", 0.25),
    { case: "1 connection: p50 added: gate / relay", value: ratio, unit: "×", target: { atMost: 1.4 } },
    addedRow("p99Ms", 1),
  ];
}

function throughputRows(table: Table, connections: number): Row[] {
  const where = { connections, figure: "perSecond" } as const;
  const ratio = (one: string, other: string) => table.results.across([one, other], { ...where, combine: divide });
  const directToRelay = ratio("direct", "relay");
  const row1 = (name: string, target: Target): Row => ({
    case: `${connections} connections: requests/s: gate / ${name}`,
    value: ratio("gate", name),
    unit: "×",
    target,
  });
  const rows = [row(table, `${connections} connections: requests/s`, where, "1/s")];
  rows.push({ case: `${connections} connections: requests/s: direct / relay`, value: directToRelay, unit: "×" });
  rows.push(row1("relay", { atLeast: relayShare(directToRelay) }));
  for (const name of table.others) {
    const atLeast = THROUGHPUT_TARGETS[name];
    if (atLeast !== undefined) rows.push(row1(name, { atLeast }));
  }
  return rows;
}

/**
 * The heavier generator and origin are, the less a proxy's own cost shows: 0.8 of the relay where direct is only 1.2
 * times the relay, 0.55 where it is twice, and in between on the line between them.
 */
function relayShare(directToRelay: number): number {
  const share = 0.8 - ((directToRelay - 1.2) * 0.25) / 0.8;
  return Math.round(Math.min(0.8, Math.max(0.55, share)) * 100) / 100;
}

function row(
  { results, others }: Table,
  name: string,
  { connections, figure }: { readonly connections: number; readonly figure: Figure },
  unit: string,
): Row {
  const all = ["gate", ...others];
  return {
    case: name,
    value: results.median("gate", connections, figure),
    unit,
    peers: Object.fromEntries(others.map((peer) => [peer, results.median(peer, connections, figure)])),
    rounds: Object.fromEntries(all.map((peer) => [peer, results.rounds(peer, connections, figure)])),
  };
}
