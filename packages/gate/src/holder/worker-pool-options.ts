import { join } from "node:path";
import type { Clock, Random } from "@gatehouse/core";
import { type CertificateAuthority, type Log, openFilesLimit, readAuthorities } from "@gatehouse/kit";
import type { GateAudit } from "../audit/gate-audit.ts";
import type { FreshnessKeeper } from "../fleet/freshness-keeper.ts";
import type { RecordStore } from "../records/record-store.ts";
import type { RunRegistry } from "../registry/run-registry.ts";
import { choosePort, requireFree } from "./choose-port.ts";
import type { FollowedPredecessor } from "./followed-predecessor.ts";
import type { GateConfig } from "./gate-protocol.ts";
import type { Handover } from "./handover.ts";
import { LeafMint } from "./leaf-mint.ts";
import type { WorkerPoolOptions } from "./worker-pool.ts";

// In each worker. An idle tunnel holds up to 80 KiB.
const MAX_WORKER_CONNECTIONS = 16_384;
const SPARE_FILES = 512;
/** What a worker opens when it holds as many connections as it may: each with its other half, to the service. */
export const WORKER_OPEN_FILES = 2 * MAX_WORKER_CONNECTIONS + SPARE_FILES;
const MAX_CONNECTIONS_PER_RUN = 1_024;
// In each worker, of which one run gets half. An answer takes half a megabyte and its window: none in gzip, 4 MiB in br
// as most encode it, 16 at worst.
const MAX_RECODING_BYTES = 512 * 1_048_576;
// In each worker, of requests whose heads come in pieces.
const MAX_HEAD_BYTES = 64 * 1_048_576;

export type ToldByWorkers = Pick<WorkerPoolOptions, "onRecords" | "onAudit" | "onLost">;

interface Told {
  readonly handover: Handover;
  readonly records: RecordStore;
  readonly audit: GateAudit;
}

/** What workers tell is kept here, or passed on while a hand-over says so. */
export function toldByWorkers({ handover, records, audit }: Told): ToldByWorkers {
  return {
    onRecords: (batch: Uint8Array) => {
      if (!handover.takeRecords(batch)) records.add(batch);
    },
    onAudit: (lines: string) => audit.takeLines(lines),
    onLost: (worker: number) => audit.note({ kind: "gate.worker_lost", data: { worker } }),
  };
}

export interface PoolParts {
  readonly log: Log;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly random: Random;
  readonly registry: RunRegistry;
  readonly told: ToldByWorkers;
  readonly predecessor: FollowedPredecessor | undefined;
  readonly audit: GateAudit;
  readonly freshness: FreshnessKeeper;
}

/** What workers are given, what they may ask for, and where what they tell goes. */
export async function workerPoolOptions(config: GateConfig, parts: PoolParts): Promise<WorkerPoolOptions> {
  const { log, ca, registry, told, predecessor, audit, freshness } = parts;
  await reportFewFiles(log);
  const leaves = new LeafMint(parts);
  const { upstreamCaFile, listen } = config;
  const inherited = predecessor === undefined ? undefined : config.predecessor;
  if (inherited === undefined) await requireFree(listen);
  return {
    count: config.workers,
    log,
    port: inherited?.proxyPort ?? (await choosePort(config.port, registry.proxyPort)),
    inherits: inherited?.listeners ?? [],
    config: {
      listen,
      keepersDir: join(config.stateDir, "keepers"),
      hosts: config.hosts,
      upstreamCaPem: upstreamCaFile === undefined ? undefined : (await readAuthorities(upstreamCaFile)).pem,
      caCertificatePem: ca.certificatePem,
      connectTimeoutMs: config.connectTimeoutMs,
      upstreamTimeoutMs: config.upstreamTimeoutMs,
      idleTimeoutMs: config.idleTimeoutMs,
      maxConnections: MAX_WORKER_CONNECTIONS,
      maxConnectionsPerRun: MAX_CONNECTIONS_PER_RUN,
      maxRecodingBytes: MAX_RECODING_BYTES,
      maxHeadBytes: MAX_HEAD_BYTES,
      ownAddresses: [],
    },
    snapshots: () => registry.snapshots(),
    mintLeaf: leaves.mint.bind(leaves),
    audit: () => ({ node: audit.node, isTaken: audit.state.isTaking }),
    freshUntilSeconds: () => freshness.untilSeconds,
    ...told,
  };
}

/** Connections for which no descriptor is free are closed by the runtime, which tells nobody. */
async function reportFewFiles(log: Log): Promise<void> {
  const limit = (await openFilesLimit()) ?? WORKER_OPEN_FILES;
  if (limit < WORKER_OPEN_FILES) {
    log.info("the limit of open files is reached before the bound of connections", {
      limit,
      wanted: WORKER_OPEN_FILES,
    });
  }
}
