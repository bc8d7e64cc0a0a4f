import { setTimeout as delay } from "node:timers/promises";
import { type Clock, Lifetime } from "@gatehouse/core";
import { native } from "@gatehouse/kit";
import { FreshUntil } from "../fleet/freshness.ts";
import type { WorkerTotals } from "../metrics/worker-totals.ts";
import type { HolderCalls, WorkerCalls, WorkerStart } from "../snapshot/worker-protocol.ts";
import { LeafContexts } from "../tls/leaf-contexts.ts";
import { UpstreamDialer } from "../upstream/open-upstream.ts";
import type { LookUp } from "../upstream/resolve-checked.ts";
import { AuditBatcher } from "./audit-batcher.ts";
import { CountedRecords } from "./counted-records.ts";
import { DescriptorWatch, isDescriptorFree } from "./descriptor-watch.ts";
import { FairShares } from "./fair-shares.ts";
import { FreedMemory } from "./freed-memory.ts";
import { IdleUpstreams } from "./idle-upstreams.ts";
import { Listeners } from "./listeners.ts";
import { Recodings } from "./recodings.ts";
import { RecordBatcher } from "./record-batcher.ts";
import { RunTable } from "./run-table.ts";
import { SWEEP_EVERY_MS, type WorkerContext } from "./worker-context.ts";

/** What a worker needs of its surroundings. */
export interface WorkerDeps {
  readonly clock: Clock;
  readonly mintLeaf: (request: HolderCalls["mintLeaf"]["params"]) => Promise<HolderCalls["mintLeaf"]["result"]>;
  /** Hands records over, a line of JSON each; false when they cannot be taken now. */
  readonly sendRecords: (lines: Uint8Array) => boolean;
  /** Hands audit entries over, two lines each; resolves when they are on record. */
  readonly sendAudit: (lines: string) => Promise<unknown>;
  /** Told once a second what was counted since the start. */
  readonly sendTotals: (totals: WorkerTotals) => void;
  readonly lookUp: LookUp;
  /** Told of what was thrown while a request was served: a bug, for the log. */
  readonly onFault: (thrown: unknown) => void;
  /** Told of an address of `gate.listen` that is not there. */
  readonly onAddressLost: (address: string, failure: unknown) => void;
  /** Told, at most once a minute, that with so many connections no descriptor is free: further ones are closed. */
  readonly onNoDescriptorFree: (connections: number) => void;
}

type SimpleCall = Exclude<keyof WorkerCalls, "start" | "offerListeners">;

/** A worker that serves; its calls are those of the key-holder. */
export interface Worker extends AsyncDisposable {
  readonly port: number;
  offerListeners(): Promise<readonly string[]>;
  handle<M extends SimpleCall>(method: M, params: WorkerCalls[M]["params"]): Promise<null>;
}

/** Opens the data plane of one process with the runs that there are. */
export async function openWorker(start: WorkerStart, deps: WorkerDeps): Promise<Worker> {
  const life = new Lifetime();
  try {
    const { config } = start;
    const freshness = new FreshUntil();
    freshness.set(start.freshUntilSeconds);
    const idleUpstreams = new IdleUpstreams();
    const runs = new RunTable(freshness, idleUpstreams);
    for (const run of start.runs) runs.put(run);
    life.defer(() => runs.dropAll());
    const batcher = life.own(new RecordBatcher(deps.sendRecords));
    const { sendTotals } = deps;
    const records = life.own(new CountedRecords(batcher, { sendTotals, connections: () => listeners.open }));
    const audit = life.own(new AuditBatcher({ ...start.audit, ...deps, send: deps.sendAudit }));
    const ownAddresses = new Set(config.ownAddresses);
    const worker: WorkerContext = {
      config,
      clock: deps.clock,
      runs,
      idleUpstreams,
      records,
      audit,
      onFault: deps.onFault,
      onAddressLost: deps.onAddressLost,
      swept: new Set(),
      recodings: new Recodings(config.maxRecodingBytes, deps.clock),
      headBytes: new FairShares(config.maxHeadBytes),
      leaves: new LeafContexts({
        mint: deps.mintLeaf,
        caCertificatePem: config.caCertificatePem,
        now: () => deps.clock.now(),
      }),
      dialer: new UpstreamDialer({ ...config, lookUp: deps.lookUp, ownAddresses: () => ownAddresses }),
    };
    const freed = new FreedMemory(() => native.returnFreeMemory());
    const descriptors = new DescriptorWatch({
      isDescriptorFree,
      onNoneFree: () => deps.onNoDescriptorFree(listeners.open),
    });
    const sweeper = setInterval(() => {
      sweep(worker);
      freed.sweep(worker.dialer.closed + listeners.closed, deps.clock.monotonicMs());
      descriptors.sweep(deps.clock.monotonicMs());
    }, SWEEP_EVERY_MS);
    life.defer(() => clearInterval(sweeper));
    const listeners = life.own(new Listeners(worker));
    const port = await listeners.listenShared(config.port, start.inherits);
    ownAddresses.add(`127.0.0.1:${port}`);
    for (const { host, port: stated = port } of config.listen) {
      ownAddresses.add(`${host}:${stated}`);
      await listeners.listenAt(host, stated);
    }
    return {
      port,
      offerListeners: () => listeners.offer(),
      handle: (method, params) => handle({ runs, listeners, worker, audit, freshness }, method, params),
      [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

function sweep(worker: WorkerContext): void {
  const nowMs = worker.clock.monotonicMs();
  for (const one of worker.swept) one.sweep(nowMs);
  worker.idleUpstreams.sweep(nowMs);
}

interface Parts {
  readonly runs: RunTable;
  readonly listeners: Listeners;
  readonly worker: WorkerContext;
  readonly audit: AuditBatcher;
  readonly freshness: FreshUntil;
}

async function handle(
  { runs, listeners, worker, audit, freshness }: Parts,
  method: SimpleCall,
  params: WorkerCalls[typeof method]["params"],
): Promise<null> {
  if (method === "putRun" && "run" in params) runs.put(params.run);
  else if (method === "dropRun" && "runId" in params) {
    runs.drop(params.runId);
    listeners.dropSandbox(params.runId);
  } else if (method === "serveListener" && "keeper" in params) {
    await listeners.serveSandbox(params.runId, params.keeper);
  } else if (method === "setAudit" && "isTaken" in params) {
    audit.setTaken(params.isTaken);
  } else if (method === "setFreshness" && "untilSeconds" in params) {
    freshness.set(params.untilSeconds);
  } else if (method === "drain" && "deadlineMs" in params) {
    listeners.stopAccepting();
    await drain(worker, params);
    audit.flush();
  }
  return null;
}

const LOOK_EVERY_MS = 20;

async function drain(worker: WorkerContext, { deadlineMs, keepsIdle }: WorkerCalls["drain"]["params"]): Promise<void> {
  const endMs = worker.clock.monotonicMs() + deadlineMs;
  for (let nowMs = 0; worker.swept.size > 0 && nowMs < endMs; await delay(LOOK_EVERY_MS)) {
    nowMs = worker.clock.monotonicMs();
    if (!keepsIdle) for (const one of [...worker.swept]) one.drain(nowMs);
  }
  worker.records.flush();
}
