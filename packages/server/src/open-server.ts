import { type Clock, Lifetime, type Random } from "@gatehouse/core";
import { type Health, type Log, openHealth, renderMetrics, serveMetrics, sha256 } from "@gatehouse/kit";
import { createMessageCheck } from "@gatehouse/wire";
import { keepHeads } from "./audit/keep-heads.ts";
import { OrgContinuity } from "./audit/org-continuity.ts";
import { RosterParts } from "./bundles/roster-parts.ts";
import type { Bus } from "./bus/bus.ts";
import { openLocalBus } from "./bus/local-bus.ts";
import { openPostgresBus } from "./bus/postgres-bus.ts";
import { keepLeaf, leafMint } from "./keep-leaf.ts";
import { checkClaim, claimDatabase } from "./keys/claim-database.ts";
import { openServerKeys, spkiOf } from "./keys/server-keys.ts";
import { leaveWithoutStore } from "./leave-without-store.ts";
import { AdmissionQueue } from "./limits/admission-queue.ts";
import { FailureBudget } from "./limits/failure-budget.ts";
import { openNodeBudgets } from "./limits/node-budget.ts";
import { SERVER_METRICS, ServerCounters } from "./metrics.ts";
import { makeFirstSetupCode } from "./orgs/setup-codes.ts";
import { type OidcConfig, openSignIn } from "./people/open-sign-in.ts";
import { forgetReports, type Retention } from "./reports/forget-reports.ts";
import type { AdmitDeps } from "./rpc/admit-calls.ts";
import { handleRequests } from "./rpc/handle-requests.ts";
import { openListener } from "./rpc/open-listener.ts";
import { NodeStreams } from "./rpc/streams/node-streams.ts";
import { openStreamWork } from "./rpc/streams/stream-work.ts";
import { openStore, type StoreLocation } from "./store/open-store.ts";
import { sweepForever } from "./sweep.ts";

export interface ServerConfig {
  /** The server's part of the state directory: keys, and the embedded database. */
  readonly directory: string;
  /** Where the first set-up code is written. */
  readonly setupCodeFile: string;
  readonly host: string;
  /** 0: any free one. */
  readonly port: number;
  /** `https://name:port` in signatures and proofs; absent: what is listened on. */
  readonly url: string | undefined;
  readonly store: StoreLocation;
  /** Where people sign in at a provider; absent: nowhere. */
  readonly oidc: OidcConfig | undefined;
  /** Whether they sign in here, by a password. */
  readonly hasPasswords: boolean;
  /** How long it keeps what it could forget. */
  readonly retention: Retention;
  /** Loopback port of metrics and health; one that was not asked for gives way when it is busy. */
  readonly metrics?: { readonly port: number; readonly isExplicit: boolean };
}

export interface ServerDeps {
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
}

/** The control plane. Disposing stops accepting, ends streams, closes the store. */
export interface Server extends AsyncDisposable {
  readonly url: string;
  readonly port: number;
  /** Loopback port of metrics and health; absent when they were not asked for. */
  readonly metricsPort: number | undefined;
  /** Whether it had no organisation when it was opened. */
  readonly isEmpty: boolean;
}

const LEAF_TTL_MS = 7 * 86_400_000;
/** A handshake is a few milliseconds of one core: so many at once keep it busy, the queue holds a whole fleet. */
const ADMISSION = { running: 32, waiting: 16_384 } as const;
/** Ten failures a second of one network, fifty at once. */
const BOOTSTRAP_BUDGET = { burst: 50, forgiveEveryMs: 100 } as const;

/** Opens keys, store and port, in this order; ready when it returns. Fails with `state.…`, `store.…`, `config.…`. */
export async function openServer(config: ServerConfig, { log, clock, random }: ServerDeps): Promise<Server> {
  const life = new Lifetime();
  try {
    const now = () => clock.now();
    const { hasPasswords } = config;
    const keys = await openServerKeys(config.directory, { now, randomBytes: (length) => random.bytes(length) });
    const store = life.own(await openStore(config.store, clock));
    await claimDatabase(store, keys);
    const bus = life.own(await openBus(config.store, log));
    life.own(store.announceTo(bus));
    await makeFirstSetupCode(config.setupCodeFile, { store, random, serverIdentityKey: keys.identityKey });
    const mint = leafMint({ ca: keys.tlsCa, name: hostOf(config), ttlMs: LEAF_TTL_MS });
    const leaf = await mint();
    const listener = life.own(await openListener({ host: config.host, port: config.port, ...leaf }));
    const origin = config.url ?? `https://${hostInUrl(config.host)}:${listener.port}`;
    const streams = life.own(new NodeStreams(bus));
    const health = openHealth({
      probes: [
        { name: "store", check: () => store.probe() },
        { name: "keys", check: () => checkClaim(store, keys) },
      ],
    });
    const counters = new ServerCounters(clock.now());
    const admission = openAdmission(clock);
    const facts = () => ({ listener, streams, admission });
    const metrics = await openMetrics(config, { health, counters, facts, log });
    if (metrics !== undefined) life.own(metrics);
    listener.serve(
      handleRequests(
        {
          ...{ store, keys, bus, clock, random, log, origin, streams, hasPasswords },
          work: openStreamWork(store, keys),
          continuity: new OrgContinuity(),
          rosters: new RosterParts(),
          budgets: openNodeBudgets({ clock, log, counters }),
          check: createMessageCheck(),
        },
        {
          tlsSpkiSha256: sha256(spkiOf(leaf.certificatePem)),
          health: () => health.report(),
          provider: openSignIn(config.oidc, origin),
          counters,
          admission,
          listener,
          signal: life.signal,
        },
      ),
    );
    // An embedded database is as near as its server.
    if (config.store.kind === "postgres")
      life.run((signal) => leaveWithoutStore({ store, streams, log, clock }, signal));
    life.run((signal) => forgetReports({ store, retention: config.retention, counters, log }, signal));
    life.run((signal) => sweepForever({ store, bus, log, counters }, signal));
    life.run((signal) => keepHeads({ store, key: keys.working.audit.key }, log, signal));
    life.run((signal) => keepLeaf({ mint, listener, ttlMs: LEAF_TTL_MS, log }, signal));
    const isEmpty = (await store.orgIds()).length === 0;
    health.setReady();
    return {
      url: origin,
      port: listener.port,
      metricsPort: metrics?.port,
      isEmpty,
      [Symbol.asyncDispose]: async () => {
        listener.refuseNew();
        await streams.drain();
        await life[Symbol.asyncDispose]();
      },
    };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

function openAdmission(clock: Clock): AdmitDeps {
  return { queue: new AdmissionQueue(ADMISSION), budget: new FailureBudget(BOOTSTRAP_BUDGET, clock) };
}

interface MetricsParts {
  readonly health: Health;
  readonly counters: ServerCounters;
  readonly facts: () => {
    readonly listener: { readonly connections: number };
    readonly streams: { readonly size: number };
    readonly admission: AdmitDeps;
  };
  readonly log: Log;
}

async function openMetrics({ metrics }: ServerConfig, { health, counters, facts, log }: MetricsParts) {
  if (metrics === undefined) return undefined;
  const render = () => {
    const { listener, streams, admission } = facts();
    const { running, waiting } = admission.queue;
    const seen = { connections: listener.connections, controlStreams: streams.size };
    return renderMetrics(
      SERVER_METRICS,
      counters.samples({ ...seen, admissionRunning: running, admissionWaiting: waiting }),
    );
  };
  const onFault = (failure: unknown) => log.error("metrics could not be served", { failure });
  return serveMetrics({ ...metrics, health, render, onFault });
}

/** Replicas that share a database hear of one another by it. */
function openBus(store: StoreLocation, log: Log): Promise<Bus> | Bus {
  return store.kind === "postgres" ? openPostgresBus(store.url, log) : openLocalBus();
}

/** The name that nodes ask for. */
function hostOf({ url, host }: ServerConfig): string {
  return url === undefined ? host : new URL(url).hostname.replace(/^\[|\]$/g, "");
}

function hostInUrl(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}
