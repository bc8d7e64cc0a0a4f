import { median } from "../../median.ts";
import type { Row } from "../../row.ts";
import { benchRun, openGate } from "../peers/gate.ts";
import type { OpenPeer } from "../peers/peer.ts";
import { openAll, type Session, withPeer } from "../session.ts";

const KIB = 1_024;
const MIB = 1_048_576;
/** Until the gate has given the upstream halves back (10 s idle, looked at every 2 s), and then their memory. */
const IDLE_WAIT_MS = 20_000;
const TUNNELS_PER_RUN = 1_000;

/** A new tunnel for each request: how much longer than a handshake with the origin itself. */
export async function newTunnelRows(
  session: Session,
  { peers, rounds, count }: { peers: Readonly<Record<string, OpenPeer>>; rounds: number; count: number },
): Promise<Row[]> {
  const taken: Record<string, number[]> = {};
  const opened = await openAll(session, peers);
  for (let round = -1; round < rounds; round += 1) {
    for (const [name, peer] of Object.entries(opened)) {
      const { p50Ms } = await session.ask({ kind: "tunnels", way: peer.way, count });
      if (round >= 0) taken[name] = [...(taken[name] ?? []), p50Ms];
    }
  }
  for (const peer of Object.values(opened)) await peer[Symbol.asyncDispose]();
  const direct = taken.direct ?? [];
  const times = (name: string) => median((taken[name] ?? []).map((ms, round) => ms / (direct[round] ?? Number.NaN)));
  const others = Object.keys(peers).filter((name) => name !== "gate" && name !== "direct");
  return [
    {
      case: "new tunnel per request: gate / direct handshake",
      value: times("gate"),
      unit: "×",
      target: { atMost: 1.3 },
      peers: Object.fromEntries(others.map((name) => [name, times(name)])),
      rounds: taken,
    },
  ];
}

/** Until every worker knows every host, for a connection goes to any of them. */
const CONTACTS = 6;

/** First contact with many hosts; and once every worker knows them, memory must not grow on. */
export function hostRows(session: Session, count: number): Promise<Row[]> {
  return withPeer(session, openGate, async (gate) => {
    const way = await gate.withHosts();
    const order = { kind: "hosts", way, count, concurrency: 16 } as const;
    const first = await session.ask(order);
    for (let contacts = 1; contacts < CONTACTS; contacts += 1) await session.ask(order);
    const before = gate.process.residentBytes();
    await session.ask(order);
    const grown = (gate.process.residentBytes() - before) / MIB;
    return [
      {
        case: `first contact with ${count} hosts`,
        value: count / first.seconds,
        unit: "hosts/s",
        target: { atLeast: 400 },
      },
      { case: `${count} known hosts once more: memory grown`, value: grown, unit: "MiB", target: { atMost: 16 } },
    ];
  });
}

/** Open tunnels that nobody uses: resident bytes of the whole tree for each of them. */
export async function idleRows(
  session: Session,
  { peers, count }: { peers: Readonly<Record<string, OpenPeer>>; count: number },
): Promise<Row[]> {
  const gate = await withPeer(session, openGate, async (opened) => {
    const runs = Math.ceil(count / TUNNELS_PER_RUN);
    const proxyTokens: string[] = [];
    for (let run = 0; run < runs; run += 1) {
      proxyTokens.push(...(await opened.register(benchRun(session.bench, `idle-${run}`))).proxyTokens);
    }
    return idleKib(session, { ...opened, way: { ...opened.way, proxyTokens } }, count);
  });
  const others: Record<string, number> = {};
  for (const [name, open] of Object.entries(peers)) {
    if (name !== "gate" && name !== "direct")
      others[name] = await withPeer(session, open, (peer) => idleKib(session, peer, count));
  }
  return [
    { case: `${count} idle tunnels: memory of each`, value: gate, unit: "KiB", target: { atMost: 80 }, peers: others },
  ];
}

async function idleKib(
  session: Session,
  { way, process }: Awaited<ReturnType<OpenPeer>>,
  count: number,
): Promise<number> {
  await session.ask({ kind: "warm", way, connections: 32, requests: 5_000, maxSeconds: 10 });
  const before = process?.residentBytes() ?? 0;
  await session.ask({ kind: "hold", way, count, concurrency: 16 });
  await new Promise((resolve) => setTimeout(resolve, IDLE_WAIT_MS));
  const grown = (process?.residentBytes() ?? 0) - before;
  await session.ask({ kind: "release", way });
  return grown / count / KIB;
}
