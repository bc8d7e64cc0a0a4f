import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, Lifetime, type Random } from "@gatehouse/core";
import { type CertificateAuthority, type Log, mintServerLeaf, serveUnix } from "@gatehouse/kit";
import { CredentialStore } from "../credentials/credential-store.ts";
import { openNodeKey } from "../credentials/node-key.ts";
import { loadTemplates } from "../credentials/templates.ts";
import { localApiRoutes } from "../local-api/routes.ts";
import { RecordStore } from "../records/record-store.ts";
import { RunRegistry } from "../registry/run-registry.ts";
import type { GateCalls, GateConfig, GateStatus } from "./gate-protocol.ts";
import { openInterceptionCa } from "./interception-ca.ts";
import { startRun } from "./start-run.ts";
import { WorkerPool } from "./worker-pool.ts";

export interface HolderDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly requestShutdown: () => void;
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

const LEAF_TTL_MS = 72 * 3_600_000;

/** Opens credentials, registry, workers and the local API, in this order; closes them in reverse. */
export async function openHolder(config: GateConfig, deps: HolderDeps): Promise<Holder> {
  const life = new Lifetime();
  try {
    const { stateDir } = config;
    const { log, clock } = deps;
    for (const folder of ["credentials", "keepers"])
      await mkdir(join(stateDir, folder), { recursive: true, mode: 0o700 });
    const key = await openNodeKey(stateDir);
    const ca = await openInterceptionCa(stateDir, clock.now());
    const templates = await loadTemplates();
    const credentials = await CredentialStore.open(join(stateDir, "credentials"), key, clock);
    const records = life.own(await openRecords(config, log));
    const pool: { current: WorkerPool | undefined } = { current: undefined };
    const publisher = {
      put: async (...[run]: Parameters<WorkerPool["put"]>) => pool.current?.put(run),
      drop: async (...[runId]: Parameters<WorkerPool["drop"]>) => pool.current?.drop(runId),
    };
    const registry = await RunRegistry.open({ credentials, key, clock, stateDir, publisher });
    reportRestored(registry, credentials, log);
    const restored = registry.size;
    const workers = life.own(new WorkerPool(await poolOptions(config, { log, ca, clock, registry, records })));
    pool.current = workers;
    const proxyPort = await workers.start();
    await registry.setProxyPort(proxyPort);
    const status = (): GateStatus => ({
      pid: process.pid,
      proxyPort,
      runCount: registry.size,
      workers: workers.workers(),
      restored,
      refused: registry.refused,
      recordsFailing: records.isFailing,
    });
    const routes = localApiRoutes({
      registry,
      credentials,
      templates,
      records,
      status,
      startedAt: clock.now(),
      commit: config.commit,
      nodeSocketPath: join(stateDir, "node.sock"),
      requestShutdown: deps.requestShutdown,
    });
    life.own(await serveUnix({ socketPath: join(stateDir, "daemon.sock"), routes, log, signal: life.signal }));
    return {
      proxyPort,
      calls: {
        startRun: (run) =>
          startRun(run, { registry, credentials, templates, random: deps.random, config, proxyPort, ca }),
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
        status: async () => status(),
      },
      [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
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

function reportRestored(registry: RunRegistry, credentials: CredentialStore, log: Log): void {
  if (registry.size > 0) log.info("runs restored", { count: registry.size });
  for (const { runId, reason } of registry.refused) log.error("run refused at restore", { runId, reason });
  for (const file of credentials.unreadable) log.error("credential cannot be opened", { file });
}

interface PoolParts {
  readonly log: Log;
  readonly ca: CertificateAuthority;
  readonly clock: Clock;
  readonly registry: RunRegistry;
  readonly records: RecordStore;
}

async function poolOptions(config: GateConfig, { log, ca, clock, registry, records }: PoolParts) {
  const { upstreamCaFile } = config;
  return {
    count: config.workers,
    log,
    port: config.port === 0 ? registry.proxyPort : config.port,
    mustHavePort: config.port !== 0,
    config: {
      keepersDir: join(config.stateDir, "keepers"),
      hosts: config.hosts,
      upstreamCaPem: upstreamCaFile === undefined ? undefined : await readFile(upstreamCaFile, "utf8"),
      caCertificatePem: ca.certificatePem,
      connectTimeoutMs: config.connectTimeoutMs,
      upstreamTimeoutMs: config.upstreamTimeoutMs,
      idleTimeoutMs: config.idleTimeoutMs,
      ownAddresses: [],
    },
    snapshots: () => registry.snapshots(),
    mintLeaf: async ({ name, publicKey }: { readonly name: string; readonly publicKey: Uint8Array }) => ({
      certificatePem: await mintServerLeaf({ ca, name, publicKey, ttlMs: LEAF_TTL_MS }),
      notAfter: clock.now() + LEAF_TTL_MS,
    }),
    onRecords: (batch: Parameters<RecordStore["add"]>[0]) => records.add(batch),
  };
}
