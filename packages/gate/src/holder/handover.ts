import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Problem, parseRunId } from "@gatehouse/core";
import { type Log, native, proxyToUnix, type Route, serveUnix } from "@gatehouse/kit";
import type { GateAudit } from "../audit/gate-audit.ts";
import type { RunRegistry } from "../registry/run-registry.ts";
import type { Changes } from "./changes.ts";
import { freeze } from "./freeze.ts";
import type { Predecessor } from "./gate-protocol.ts";
import {
  FOLLOWED_IN,
  type HandoverState,
  SUCCESSOR_CALLS,
  type SuccessorCalls,
  type Told,
} from "./handover-protocol.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface HandoverDeps {
  readonly stateDir: string;
  readonly audit: GateAudit;
  readonly log: Log;
  readonly daemon: { letGo(): Promise<unknown>; takeBack(): Promise<unknown> };
  /** Ends this process, to be started anew by its daemon. */
  readonly restart: () => void;
  /** Everything has been handed over and has ended. */
  readonly requestShutdown: () => void;
}

/** What is handed over. */
export interface HandedGate {
  readonly proxyPort: number;
  readonly changes: Changes;
  readonly registry: RunRegistry;
  readonly workers: WorkerPool;
}

const QUIET_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 10;
const FROZEN_WITHIN_MS = 10_000;
/** A successor that has not taken over by then will not: this daemon goes on. */
const TAKEN_WITHIN_MS = 20_000;
const DRAIN_MS = 600_000;
/** At the end, for a successor that is there to take the last entries. */
const LAST_ACK_MS = 2_000;
/** Beyond, records are kept here. */
const MAX_WAITING_RECORDS = 10_000;

/** The predecessor's side of a hand-over, as `handover-protocol.ts` says it. */
export class Handover implements AsyncDisposable {
  readonly #deps: HandoverDeps;
  #state: HandoverState = "serving";
  #settled = Promise.withResolvers<void>();
  #changes = 0;
  #control: AsyncDisposable | undefined;
  #overdue: NodeJS.Timeout | undefined;
  #isFollowed = false;
  /** In base64. */
  readonly #records: string[] = [];
  #wake: () => void = () => undefined;

  constructor(deps: HandoverDeps) {
    this.#deps = deps;
  }

  /** For the local API's server: true when the successor answers. */
  async intercept(request: IncomingMessage, response: ServerResponse): Promise<boolean> {
    const isOwn = request.url === "/v1/handover";
    if (this.#state === "frozen" && !isOwn) await this.#settled.promise;
    if (this.#state === "given") {
      await proxyToUnix(request, response, join(this.#deps.stateDir, "daemon.sock"));
      return true;
    }
    if (request.method !== "GET" && !isOwn) {
      this.#changes += 1;
      response.once("close", () => {
        this.#changes -= 1;
      });
    }
    return false;
  }

  /** Takes records for the successor; false while they are this daemon's to keep. */
  takeRecords(batch: Uint8Array): boolean {
    if (this.#state !== "given" || !this.#isFollowed || this.#records.length >= MAX_WAITING_RECORDS) return false;
    this.#records.push(Buffer.from(batch).toString("base64"));
    this.#wake();
    return true;
  }

  /** Prepares everything and says where the successor finds it. Fails with `daemon.handing_over`, or as a part does. */
  async begin(gate: HandedGate): Promise<Predecessor> {
    const { daemon, stateDir, log } = this.#deps;
    if (!native.available) throw new Problem("native.unavailable");
    if (this.#state !== "serving") throw new Problem("daemon.handing_over");
    this.#state = "frozen";
    this.#settled = Promise.withResolvers<void>();
    try {
      for (let left = QUIET_WITHIN_MS; this.#changes > 0 && left > 0; left -= LOOK_EVERY_MS) await delay(LOOK_EVERY_MS);
      // In this order, so that what is under way can tell the runs to the end: the successor takes what is on disk for
      // what these workers were told.
      await freeze(gate, FROZEN_WITHIN_MS);
      gate.workers.keepNoMore();
      const listeners = await gate.workers.offerListeners();
      const control = join(stateDir, "keepers", `${randomBytes(8).toString("hex")}.sock`);
      this.#control = await serveUnix({ socketPath: control, routes: this.#routes(gate), log });
      await daemon.letGo();
      this.#overdue = setTimeout(() => void this.#goOnAlone(), TAKEN_WITHIN_MS);
      return { pid: process.ppid, control, proxyPort: gate.proxyPort, listeners };
    } catch (failure) {
      await this.#goOnAlone();
      throw failure;
    }
  }

  #routes(gate: HandedGate): readonly Route[] {
    const calls = Object.entries(this.#calls(gate)).map(([name, follow]): Route => {
      const call = name as keyof SuccessorCalls;
      return {
        method: "POST",
        path: `/${call}`,
        handle: async ({ body }) => {
          if (!FOLLOWED_IN[call].includes(this.#state)) throw new Problem("daemon.handing_over");
          await (follow as (params: unknown) => unknown)(SUCCESSOR_CALLS[call].parse(body));
          return { status: 204 };
        },
      };
    });
    return [
      { method: "GET", path: "/follow", handle: ({ signal }) => ({ status: 200, lines: this.#follow(signal) }) },
      ...calls,
    ];
  }

  #calls({ workers }: HandedGate): { readonly [C in keyof SuccessorCalls]: (params: SuccessorCalls[C]) => unknown } {
    const { audit } = this.#deps;
    return {
      log: () => audit.handOver(() => this.#wake()),
      ack: ({ group, entries }) => audit.passed?.acknowledge(group, entries),
      drop: ({ run_id }) => workers.drop(parseRunId(run_id)),
      audit: ({ is_taken }) => {
        audit.passed?.setWritten(is_taken);
        return workers.setAudit(audit.state.isTaking);
      },
      freshness: ({ until_seconds }) => workers.setFreshness(until_seconds),
      drain: () => this.#give(workers),
    };
  }

  /** The successor's hold on this daemon. */
  async *#follow(signal: AbortSignal): AsyncGenerator<Told> {
    if (this.#isFollowed || this.#state !== "frozen") throw new Problem("daemon.handing_over");
    this.#isFollowed = true;
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    try {
      yield { following: true };
      while (!signal.aborted) {
        const told = this.#nextTold();
        if (told === undefined) await this.#somethingToTell();
        else yield told;
      }
    } finally {
      this.#isFollowed = false;
      await this.#goOnAlone();
    }
  }

  #nextTold(): Told | undefined {
    const group = this.#deps.audit.passed?.take();
    if (group !== undefined) return group;
    const records = this.#records.shift();
    return records === undefined ? undefined : { records };
  }

  #somethingToTell(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #give(workers: WorkerPool): void {
    clearTimeout(this.#overdue);
    this.#state = "given";
    this.#settled.resolve();
    this.#deps.log.info("handed over to a successor");
    void workers.drain(DRAIN_MS).then(() => this.#deps.requestShutdown());
  }

  /** The successor is gone, or never came. What it did not put on record is put on record here, whatever comes then. */
  async #goOnAlone(): Promise<void> {
    const { audit, log, requestShutdown } = this.#deps;
    clearTimeout(this.#overdue);
    const state = this.#state;
    if (state !== "frozen" && state !== "given") return;
    this.#state = "ended";
    if (state === "given") requestShutdown();
    else log.warn("the successor did not come: this daemon goes on");
    await audit.takeBack().catch((failure: unknown) => log.warn("the audit log is another's now", { failure }));
    if (state === "frozen") await this.#serveAgain();
  }

  async #serveAgain(): Promise<void> {
    const { daemon, log, restart, requestShutdown } = this.#deps;
    try {
      await daemon.takeBack();
    } catch (failure) {
      log.error("the state directory is another's by now: this daemon ends", { failure });
      return requestShutdown();
    }
    this.#settled.resolve();
    // The successor may have written before it went: what stands on disk is read anew.
    restart();
  }

  /** For when the workers have ended: the successor takes what they told last. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#overdue);
    if (this.#isFollowed && this.#state !== "ended") {
      const late = new AbortController();
      const waited = delay(LAST_ACK_MS, undefined, { signal: late.signal }).catch(() => undefined);
      await Promise.race([this.#deps.audit.passed?.settled(), waited]);
      late.abort();
    }
    this.#state = "ended";
    this.#settled.resolve();
    await this.#control?.[Symbol.asyncDispose]();
  }
}
