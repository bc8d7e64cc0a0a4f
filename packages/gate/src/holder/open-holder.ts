import { join } from "node:path";
import { type Clock, Lifetime, type Random } from "@gatehouse/core";
import { type CertificateAuthority, type Log, readAuthorities, type ServeUnixOptions, serveUnix } from "@gatehouse/kit";
import { GateAudit } from "../audit/gate-audit.ts";
import { auditText } from "../audit/run-events.ts";
import type { CredentialStore } from "../credentials/credential-store.ts";
import { type FleetParts, fleetCalls } from "../fleet/fleet-calls.ts";
import type { FreshnessKeeper } from "../fleet/freshness-keeper.ts";
import { localApiRoutes } from "../local-api/routes.ts";
import { RecordStore } from "../records/record-store.ts";
import type { RegistryDeps } from "../registry/registry-deps.ts";
import { RunRegistry } from "../registry/run-registry.ts";
import { choosePort, requireFree } from "./choose-port.ts";
import { type FollowedPredecessor, takeOverLog } from "./followed-predecessor.ts";
import { Followers } from "./followers.ts";
import type { GateCalls, GateConfig, GateStatus } from "./gate-protocol.ts";
import { Handover } from "./handover.ts";
import type { IdleWatch } from "./idle-watch.ts";
import { LeafMint } from "./leaf-mint.ts";
import { openVault, type Vault } from "./open-vault.ts";
import { startRun } from "./start-run.ts";
import { watchRuns } from "./watch-runs.ts";
import { WorkerPool } from "./worker-pool.ts";

export interface HolderDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly daemon: { letGo(): Promise<unknown>; takeBack(): Promise<unknown> };
  /** Ends this process, to be started anew by its daemon. */
  readonly restart: () => void;
  readonly requestShutdown: () => void;
  /** No run and no call for a while. */
  readonly onEmpty: () => void;
}

/** The key-holder as its parent uses it. */
export interface Holder extends AsyncDisposable {
  readonly proxyPort: number;
  readonly calls: {
    readonly [M in Exclude<keyof GateCalls, "open">]: (
      params: GateCalls[M]["params"],
    ) => Promise<GateCalls[M]["result"]>;
  };
}

// In each worker. An idle tunnel holds up to 80 KiB.
const MAX_WORKER_CONNECTIONS = 16_384;
const MAX_CONNECTIONS_PER_RUN = 1_024;
// In each worker, of which one run gets half. An answer takes half a megabyte and its window: none in gzip, 4 MiB in br as
// most encode it, 16 at worst.
const MAX_RECODING_BYTES = 512 * 1_048_576;
// In each worker, of requests whose heads come in pieces.
const MAX_HEAD_BYTES = 64 * 1_048_576;
const MAX_NAMES_ON_RECORD = 1_000;

/** Opens credentials, registry, workers and the local API, in this order; closes them in reverse. */
export async function openHolder(config: GateConfig, deps: HolderDeps): Promise<Holder> {
  const life = new Lifetime();
  try {
    const { stateDir } = config;
    const { log, clock, requestShutdown, restart, daemon } = deps;
    // Before anything that changes: there is nothing that could not be put on record.
    const openAudit = () => GateAudit.open({ stateDir, clock, random: deps.random, log });
    const { audit, predecessor } = await takeOverLog(config.predecessor, { life, log, openAudit });
    const records = life.own(await openRecords(config, log));
    // Closed when the workers are: it passes on what they tell at their end.
    const handover = life.own(new Handover({ stateDir, audit, log, daemon, restart, requestShutdown }));
    const told = toldByWorkers({ handover, records, audit });
    predecessor?.keep({ audit, onRecords: told.onRecords });
    const vault = await openVault(config, clock);
    const followers = new Followers();
    const registry = await openRegistry(vault, { clock, stateDir, publisher: followers, audit });
    reportRestored(registry, vault, log);
    const restored = registry.size;
    noteStart(config, { audit, registry, credentials: vault.credentials });
    await predecessor?.remember({
      served: registry.snapshots(),
      refused: registry.refused,
      isTaken: audit.state.isTaking,
      freshUntilSeconds: vault.freshness.untilSeconds,
    });
    const parts = { ...vault, log, clock, random: deps.random, registry, told, predecessor, audit };
    const workers = life.own(new WorkerPool(await poolOptions(config, parts)));
    followers.all = predecessor === undefined ? [workers] : [workers, predecessor];
    audit.onTaking = (isTaking) => life.run(() => followers.setAudit(isTaking));
    const proxyPort = await workers.start();
    await registry.setProxyPort(proxyPort);
    const { containers, idle } = watchRuns(config, { life, registry, log, clock, onEmpty: deps.onEmpty });
    const status = () => statusOf({ registry, workers, records, audit, proxyPort, restored });
    const nodeServes = Promise.withResolvers<void>();
    const serving = { ...vault, registry, audit, status };
    const routes = localApiRoutes({
      ...serving,
      containers,
      records,
      hosts: config.hosts,
      ownAddresses: ownAddresses(config, proxyPort),
      startedAt: clock.now(),
      commit: config.commit,
      endsWhenEmpty: config.endsWhenEmpty,
      nodeSocketPath: join(stateDir, "node.sock"),
      nodeServes: nodeServes.promise,
      handOver: () => handover.begin({ proxyPort, registry, workers }),
      requestShutdown,
    });
    life.own(await serveApi({ routes, stateDir, log, idle, handover, signal: life.signal }));
    await predecessor?.finish(() => workers.allServe());
    return {
      proxyPort,
      calls: callsOf({
        ...serving,
        log,
        workers,
        followers,
        proxyPort,
        exposesCredentials: config.exposesCredentials,
        random: deps.random,
        onNodeServes: nodeServes.resolve,
      }),
      [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

type RegistryParts = Pick<RegistryDeps, "clock" | "stateDir" | "publisher" | "audit">;

function openRegistry(vault: Vault, parts: RegistryParts): Promise<RunRegistry> {
  return RunRegistry.open({ ...vault, ...parts, credentials: vault.grants, ceilings: () => vault.fleet.ceilings });
}

interface StatusParts {
  readonly registry: RunRegistry;
  readonly workers: WorkerPool;
  readonly records: RecordStore;
  readonly audit: GateAudit;
  readonly proxyPort: number;
  readonly restored: number;
}

function statusOf({ registry, workers, records, audit, proxyPort, restored }: StatusParts): GateStatus {
  return {
    pid: process.pid,
    proxyPort,
    runCount: registry.size,
    workers: workers.workers(),
    restored,
    refused: registry.refused,
    recordsFailing: records.isFailing,
    audit: audit.state,
  };
}

interface ApiParts extends Pick<ServeUnixOptions, "routes" | "log"> {
  readonly stateDir: string;
  readonly idle: IdleWatch;
  readonly handover: Handover;
  readonly signal: AbortSignal;
}

function serveApi({ stateDir, idle, handover, ...serving }: ApiParts): Promise<AsyncDisposable> {
  return serveUnix({
    ...serving,
    socketPath: join(stateDir, "daemon.sock"),
    // The daemon's lock says that nobody else serves here.
    replaces: true,
    onRequest: ({ method }) => {
      if (method !== "GET") idle.touch();
    },
    intercept: (request, response) => handover.intercept(request, response),
  });
}

interface CallParts extends Vault, FleetParts {
  readonly workers: WorkerPool;
  readonly status: () => GateStatus;
  readonly exposesCredentials: boolean;
  readonly proxyPort: number;
  readonly random: Random;
  readonly onNodeServes: () => void;
}

function callsOf(parts: CallParts): Holder["calls"] {
  const { registry, workers } = parts;
  return {
    ...fleetCalls(parts),
    startRun: (run) => startRun(run, { ...parts, credentials: parts.grants }),
    serveListener: async ({ runId }) => {
      const run = registry.get(runId);
      if (run?.place.kind === "sandbox") await workers.serveListener(run.runId, run.place.keeper);
      return null;
    },
    endRun: async ({ runId }) => {
      await registry.end(runId);
      return null;
    },
    listRuns: async () =>
      registry.list().map(({ runId, place }) => ({
        runId,
        keeper: place.kind === "sandbox" ? place.keeper : undefined,
      })),
    putOnRecord: async (event) => {
      await parts.audit.attempt(event, async () => undefined);
      return null;
    },
    nodeServes: async () => {
      parts.onNodeServes();
      return null;
    },
    status: async () => parts.status(),
    totals: async () => workers.totals(),
  };
}

interface Told {
  readonly handover: Handover;
  readonly records: RecordStore;
  readonly audit: GateAudit;
}

/** What workers tell is kept here, or passed on while a hand-over says so. */
function toldByWorkers({ handover, records, audit }: Told) {
  return {
    onRecords: (batch: Uint8Array) => {
      if (!handover.takeRecords(batch)) records.add(batch);
    },
    onAudit: (lines: string) => audit.noteLines(lines),
  };
}

function openRecords({ stateDir, recordsMaxBytes, recordsMaxFiles }: GateConfig, log: Log): Promise<RecordStore> {
  return RecordStore.open({
    folder: join(stateDir, "records"),
    maxBytes: recordsMaxBytes,
    maxFiles: recordsMaxFiles,
    onFailing: (isFailing) => {
      if (isFailing) log.error("request records cannot be written");
      else log.info("request records are written again");
    },
  });
}

function reportRestored(registry: RunRegistry, { credentials, fleet }: Vault, log: Log): void {
  if (registry.size > 0) log.info("runs restored", { count: registry.size });
  for (const { runId, reason } of registry.refused) log.error("run refused at restore", { runId, reason });
  for (const fault of credentials.faults) log.error("credential cannot be opened", { ...fault });
  if (fleet.fault !== undefined) log.error("the stored bundle is not served", { reason: fleet.fault });
}

interface StartParts {
  readonly audit: GateAudit;
  readonly registry: RunRegistry;
  readonly credentials: CredentialStore;
}

/** Where the gate itself is reached. */
function ownAddresses({ listen }: GateConfig, proxyPort: number): ReadonlySet<string> {
  return new Set([`127.0.0.1:${proxyPort}`, ...listen.map(({ host, port = proxyPort }) => `${host}:${port}`)]);
}

/** What holds from the first moment on. */
function noteStart({ commit }: GateConfig, { audit, registry, credentials }: StartParts): void {
  const refused = registry.refused.slice(0, MAX_NAMES_ON_RECORD).map(({ runId }) => auditText(runId));
  const grants = credentials
    .list()
    .slice(0, MAX_NAMES_ON_RECORD)
    .map(({ name }) => name);
  audit.note({ kind: "gate.started", data: { commit, grants, runs: registry.size, runs_refused: refused } });
}

interface PoolParts {
  readonly log: Log;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly random: Random;
  readonly registry: RunRegistry;
  readonly told: ReturnType<typeof toldByWorkers>;
  readonly predecessor: FollowedPredecessor | undefined;
  readonly audit: GateAudit;
  readonly freshness: FreshnessKeeper;
}

async function poolOptions(config: GateConfig, parts: PoolParts) {
  const { log, ca, registry, told, predecessor, audit, freshness } = parts;
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
