import { join } from "node:path";
import { type Clock, Lifetime, type Random } from "@gatehouse/core";
import { type Log, type ServeUnixOptions, serveUnix } from "@gatehouse/kit";
import { GateAudit } from "../audit/gate-audit.ts";
import { auditText } from "../audit/run-events.ts";
import type { CredentialStore } from "../credentials/credential-store.ts";
import { localApiRoutes } from "../local-api/routes.ts";
import { RecordStore } from "../records/record-store.ts";
import type { RegistryDeps } from "../registry/registry-deps.ts";
import { RunRegistry } from "../registry/run-registry.ts";
import { Changes } from "./changes.ts";
import { takeOverLog } from "./followed-predecessor.ts";
import { Followers } from "./followers.ts";
import type { GateConfig, GateStatus } from "./gate-protocol.ts";
import { Handover } from "./handover.ts";
import { type AnsweredCalls, holderCalls } from "./holder-calls.ts";
import type { IdleWatch } from "./idle-watch.ts";
import { openVault, type Vault } from "./open-vault.ts";
import { watchRuns } from "./watch-runs.ts";
import { WorkerPool } from "./worker-pool.ts";
import { toldByWorkers, workerPoolOptions } from "./worker-pool-options.ts";

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
  readonly calls: AnsweredCalls;
}

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
    const workers = life.own(new WorkerPool(await workerPoolOptions(config, parts)));
    followers.all = predecessor === undefined ? [workers] : [workers, predecessor];
    audit.onTaking = (isTaking) => life.run(() => followers.setAudit(isTaking));
    const proxyPort = await workers.start();
    await registry.setProxyPort(proxyPort);
    const { containers, idle } = watchRuns(config, { life, registry, log, clock, onEmpty: deps.onEmpty });
    const status = () => statusOf({ registry, workers, records, audit, proxyPort, restored });
    const nodeServes = Promise.withResolvers<void>();
    const serving = { ...vault, changes: new Changes(), registry, audit, status };
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
      handOver: () => handover.begin({ ...serving, proxyPort, workers }),
      requestShutdown,
    });
    life.own(await serveApi({ routes, stateDir, log, idle, handover, signal: life.signal }));
    await predecessor?.finish(() => workers.allServe());
    return {
      proxyPort,
      calls: holderCalls({
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

/** Where the gate itself is reached. */
function ownAddresses({ listen }: GateConfig, proxyPort: number): ReadonlySet<string> {
  return new Set([`127.0.0.1:${proxyPort}`, ...listen.map(({ host, port = proxyPort }) => `${host}:${port}`)]);
}

interface StartParts {
  readonly audit: GateAudit;
  readonly registry: RunRegistry;
  readonly credentials: CredentialStore;
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
