import { setTimeout as delay } from "node:timers/promises";
import { toProblem } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { median } from "../../median.ts";
import type { Row } from "../../row.ts";
import { type Gate, openGate } from "../peers/gate.ts";
import { type Session, withPeer } from "../session.ts";

const GRANTS_EACH = 50;
const CONCURRENCY = 32;
const RETRY_AFTER_MS = 500;
const MOST_RETRIES = 60;

/** The cost of a request with many runs registered, beside a gate that has one. */
export async function manyRunsRows(session: Session, plan: ManyRuns): Promise<Row[]> {
  return await withPeer(session, openGate, (few) =>
    withPeer(session, openGate, (many) => compareRuns(session, { few, many }, plan)),
  );
}

interface ManyRuns {
  readonly runs: number;
  readonly rounds: number;
  readonly requests: number;
}

async function compareRuns(
  session: Session,
  { few, many }: { readonly few: Gate; readonly many: Gate },
  { runs, rounds, requests }: ManyRuns,
): Promise<Row[]> {
  const began = performance.now();
  await registerMany(many, runs);
  const perSecond = (runs * 1000) / (performance.now() - began);
  const ratios: number[] = [];
  for (let round = -1; round < rounds; round += 1) {
    // Taken in turns, so that a drift of the machine meets both.
    const isFirst = round % 2 === 0;
    const before = isFirst ? await cpuPerRequest(session, few, requests) : undefined;
    const cost = await cpuPerRequest(session, many, requests);
    const base = before ?? (await cpuPerRequest(session, few, requests));
    if (round >= 0) ratios.push(cost / base);
  }
  const name = `${runs} runs × ${GRANTS_EACH} grants registered`;
  return [
    {
      case: `${name}: CPU per request / with one run`,
      value: median(ratios),
      unit: "×",
      target: { atMost: 1.03 },
      rounds: { ratios },
    },
    { case: `${name}: registrations`, value: perSecond, unit: "runs/s" },
  ];
}

async function registerMany(gate: Gate, runs: number): Promise<void> {
  const credentials = Array.from({ length: GRANTS_EACH }, (_, index) => ({
    host: `service-${index}.example.com`,
    header: "Authorization",
    value: `Bearer value-of-service-${index}`,
  }));
  let next = 0;
  const worker = async () => {
    while (next < runs) {
      next += 1;
      await registerPatiently(gate, { run_id: `filler-${next}`, network_policy: "strict", credentials });
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

/** As a client does: while a slow disk holds the audit log up, registrations are refused, and asked for again. */
async function registerPatiently(gate: Gate, body: object): Promise<void> {
  for (let left = MOST_RETRIES; ; left -= 1) {
    try {
      return void (await gate.register(body));
    } catch (failure) {
      if (left === 0 || toProblem(failure).code !== "audit.unwritable") throw failure;
      await delay(RETRY_AFTER_MS);
    }
  }
}

async function cpuPerRequest(session: Session, { way, process }: Gate, requests: number): Promise<number> {
  const before = process.cpuSeconds();
  const done = await session.ask({ kind: "warm", way, connections: 32, requests, maxSeconds: 30 });
  return (process.cpuSeconds() - before) / done.requests;
}

/** From taking a run back to its open tunnel being cut. */
export function revocationRows(session: Session, rounds: number): Promise<Row[]> {
  return withPeer(session, openGate, async (gate) => {
    const taken: number[] = [];
    for (let round = 0; round < rounds; round += 1) {
      const { bench } = session;
      const way = await gate.register({
        run_id: `revoked-${round}`,
        network_allow: [`${bench.host}:${bench.originPort}`],
      });
      const { cut } = await session.untilCut({ kind: "cut", way });
      const began = performance.now();
      const path = `/v1/runs/${way.proxyTokens[0]}`;
      await Promise.all([requestUnixOk({ socketPath: gate.socketPath, method: "DELETE", path }), cut]);
      taken.push(performance.now() - began);
    }
    const value = Math.max(...taken);
    return [
      {
        case: "a run taken back: until its tunnel is cut, longest",
        value,
        unit: "ms",
        target: { atMost: 1_000 },
        rounds: { taken },
      },
    ];
  });
}
