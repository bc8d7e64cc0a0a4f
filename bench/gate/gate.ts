// The gate beside its peers. Every figure is a median of interleaved rounds; what counts are the ratios in one run.
import { benchFraming } from "../framing/framing.ts";
import { benchPolicy } from "../policy/decide.ts";
import { holds, type Row } from "../row.ts";
import { manyRunsRows, revocationRows } from "./cases/runs.ts";
import { bulkRows, promptRows } from "./cases/streams.ts";
import { hostRows, idleRows, newTunnelRows } from "./cases/tunnels.ts";
import { measureWarm, type WarmPlan, warmRows } from "./cases/warm.ts";
import { committedRows } from "./committed.ts";
import { availablePeers, ownPeers } from "./peers/all-peers.ts";
import { openDirect } from "./peers/programs.ts";
import { Session } from "./session.ts";

const MIB = 1_048_576;

const FULL = { rounds: 5, warmUpRequests: 30_000, requests: { 1: 5_000, 32: 40_000, 64: 40_000 }, maxSeconds: 4 };
const SHORT = { rounds: 3, warmUpRequests: 20_000, requests: { 1: 3_000, 32: 20_000, 64: 20_000 }, maxSeconds: 2 };
/** What is compared in every test run: the gate and the relay alone, in some twenty seconds. */
const COMPARED = { rounds: 3, warmUpRequests: 20_000, requests: { 32: 20_000 }, maxSeconds: 8 };

/** Every case; `isCompared` measures only what a change is judged by, once more when it seems to have failed. */
export async function benchGate(options: { readonly isShort: boolean; readonly isCompared: boolean }): Promise<Row[]> {
  await using session = await Session.open();
  if (options.isCompared) return await compare(session);
  return await (options.isShort ? everyCase(session, SHORT, 4) : everyCase(session, FULL, 1));
}

async function compare(session: Session): Promise<Row[]> {
  const { relay, gate } = ownPeers();
  if (relay === undefined || gate === undefined) throw new Error("the bench lost its own peers");
  const measure = async () => committedRows(await measureWarm(session, { ...COMPARED, peers: { relay, gate } }));
  const rows = await measure();
  // A neighbour on the machine can spoil one measurement, a dearer gate spoils both.
  return rows.every(holds) ? rows : measure();
}

async function everyCase(session: Session, size: Omit<WarmPlan, "peers">, shrink: number): Promise<Row[]> {
  const peers = availablePeers();
  const { rounds } = size;
  const named = (...names: string[]) =>
    Object.fromEntries(Object.entries(peers).filter(([name]) => names.includes(name)));
  const plan = { ...size, peers };
  const rows: Row[] = [];
  const add = async (name: string, more: () => Promise<readonly Row[]>) => {
    try {
      rows.push(...(await more()));
      console.error(`measured: ${name}`);
    } catch (failure) {
      // What was measured until here is not thrown away with it.
      console.error(`not measured: ${name}:`, failure);
      process.exitCode = 1;
    }
  };
  await add("warm connections", async () => warmRows(await measureWarm(session, plan), plan));
  const few = named("direct", "relay", "gate", "squid", "gatekeeper");
  await add("new tunnels", () => newTunnelRows(session, { peers: few, rounds, count: 200 / shrink }));
  await add("many hosts", () => hostRows(session, 1_000));
  const bulk = named("direct", "relay", "gate", "nginx", "gatekeeper");
  await add("large bodies", () => bulkRows(session, { peers: bulk, rounds, bytes: (1_024 * MIB) / shrink }));
  await add("streams", () => promptRows(session, { direct: openDirect, rounds, count: 200 / shrink }));
  await add("idle tunnels", () =>
    idleRows(session, { peers: named("relay", "squid", "gatekeeper"), count: 5_000 / shrink }),
  );
  await add("many runs", () => manyRunsRows(session, { runs: 10_000 / shrink ** 2, rounds, requests: 20_000 }));
  await add("revocation", () => revocationRows(session, 20));
  await add("policy", () => benchPolicy());
  await add("framing", () => benchFraming());
  return rows;
}
