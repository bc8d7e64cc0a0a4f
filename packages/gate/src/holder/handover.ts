import { randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Problem, parseRunId } from "@gatehouse/core";
import { type Log, native, proxyToUnix, type Route, serveUnix } from "@gatehouse/kit";
import { z } from "zod";
import type { GateAudit } from "../audit/gate-audit.ts";
import type { RecordStore } from "../records/record-store.ts";
import type { RunRegistry } from "../registry/run-registry.ts";
import type { Predecessor } from "./gate-protocol.ts";
import type { WorkerPool } from "./worker-pool.ts";

export interface HandoverDeps {
  readonly stateDir: string;
  readonly proxyPort: number;
  readonly registry: RunRegistry;
  readonly workers: WorkerPool;
  readonly audit: GateAudit;
  readonly log: Log;
  readonly daemon: { letGo(): Promise<unknown>; takeBack(): Promise<unknown> };
  /** Ends this process, to be started anew by its daemon. */
  readonly restart: () => void;
  /** Everything has been handed over and has ended. */
  readonly requestShutdown: () => void;
}

const QUIET_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 10;
/** A successor that has not taken over by then will not: this daemon goes on. */
const TAKEN_WITHIN_MS = 20_000;
const DRAIN_MS = 600_000;
const MAX_WAITING_BATCHES = 10_000;
const dropSchema = z.object({ run_id: z.string() });

/**
 * This daemon's side of a hand-over. `frozen`: nothing changes any more, calls of the local API wait. `given`: calls
 * are passed on to the successor, and open tunnels live on under its word: it says which runs to cut, and when it goes,
 * they go.
 */
export class Handover implements AsyncDisposable {
  readonly #deps: HandoverDeps;
  #state: "serving" | "frozen" | "given" | "ended" = "serving";
  #settled = Promise.withResolvers<void>();
  #changes = 0;
  #control: AsyncDisposable | undefined;
  #overdue: NodeJS.Timeout | undefined;
  /** What the workers tell meanwhile: entries of the audit log, records. */
  readonly #told: ({ readonly audit: string } | { readonly records: string })[] = [];
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
    if (this.#state !== "given") return false;
    this.#tell({ records: Buffer.from(batch).toString("base64") });
    return true;
  }

  /** Takes audit entries for the successor, from the freeze on. */
  takeAudit(lines: string): boolean {
    if (this.#state !== "given" && this.#state !== "frozen") return false;
    this.#tell({ audit: lines });
    return true;
  }

  #tell(told: { readonly audit: string } | { readonly records: string }): void {
    if (this.#told.length < MAX_WAITING_BATCHES) this.#told.push(told);
    else this.#deps.requestShutdown(); // what cannot be put on record does not go on
    this.#wake();
  }

  /** Prepares everything and says where the successor finds it. Fails with `daemon.handing_over`, or as a part does. */
  async begin(): Promise<Predecessor> {
    const { registry, workers, audit, daemon, proxyPort, stateDir, log } = this.#deps;
    if (!native.available) throw new Problem("native.unavailable");
    if (this.#state !== "serving") throw new Problem("daemon.handing_over");
    this.#state = "frozen";
    this.#settled = Promise.withResolvers<void>();
    try {
      for (let left = QUIET_WITHIN_MS; this.#changes > 0 && left > 0; left -= LOOK_EVERY_MS) await delay(LOOK_EVERY_MS);
      await registry.freeze();
      await audit.handOver();
      const listeners = await workers.offerListeners();
      const control = join(stateDir, "keepers", `${randomBytes(8).toString("hex")}.sock`);
      this.#control = await serveUnix({ socketPath: control, routes: this.#routes(), log });
      await daemon.letGo();
      this.#overdue = setTimeout(() => void this.#takeBack(), TAKEN_WITHIN_MS);
      return { pid: process.ppid, control, proxyPort, listeners };
    } catch (failure) {
      await this.#takeBack();
      throw failure;
    }
  }

  #routes(): readonly Route[] {
    return [
      { method: "GET", path: "/follow", handle: ({ signal }) => ({ status: 200, lines: this.#follow(signal) }) },
      {
        method: "POST",
        path: "/drop",
        handle: async ({ body }) => {
          await this.#deps.workers.drop(parseRunId(dropSchema.parse(body).run_id));
          return { status: 204 };
        },
      },
      {
        method: "POST",
        path: "/drain",
        handle: () => {
          this.#give();
          return { status: 204 };
        },
      },
    ];
  }

  /** The successor's hold on this daemon; carries the records of what still runs here. */
  async *#follow(signal: AbortSignal): AsyncGenerator<unknown> {
    try {
      yield { following: true };
      while (!signal.aborted) {
        const told = this.#told.shift();
        if (told !== undefined) yield told;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
            signal.addEventListener("abort", () => resolve(), { once: true });
          });
        }
      }
    } finally {
      if (this.#state === "given") this.#deps.requestShutdown();
      else await this.#takeBack();
    }
  }

  #give(): void {
    if (this.#state !== "frozen") return;
    clearTimeout(this.#overdue);
    this.#state = "given";
    this.#settled.resolve();
    this.#deps.log.info("handed over to a successor");
    void this.#deps.workers.drain(DRAIN_MS).then(() => this.#deps.requestShutdown());
  }

  async #takeBack(): Promise<void> {
    if (this.#state !== "frozen") return;
    clearTimeout(this.#overdue);
    this.#deps.log.warn("the successor did not come: this daemon goes on");
    try {
      await this.#deps.daemon.takeBack();
      await this.#keepTold();
    } catch (failure) {
      this.#deps.log.error("the state directory is another's by now: this daemon ends", { failure });
      return this.#deps.requestShutdown();
    }
    // The successor may have written before it went: what stands on disk is read anew.
    this.#state = "ended";
    this.#settled.resolve();
    this.#deps.restart();
  }

  /** What was sent meanwhile goes on record here after all. */
  async #keepTold(): Promise<void> {
    const { audit } = this.#deps;
    await audit.takeBack();
    this.#state = "ended";
    for (const told of this.#told.splice(0)) if ("audit" in told) audit.noteLines(told.audit);
    await audit.settled();
  }

  async #closeControl(): Promise<void> {
    const control = this.#control;
    this.#control = undefined;
    await control?.[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearTimeout(this.#overdue);
    await this.#closeControl();
  }
}

/** What workers tell: records, and entries of the audit log. */
export interface ToldByWorkers {
  readonly onRecords: (batch: Uint8Array) => void;
  readonly onAudit: (lines: string) => void;
}

/** Kept here, or passed on while a hand-over says so. */
export function keepOrPass(
  handover: () => Handover | undefined,
  { records, audit }: { readonly records: RecordStore; readonly audit: GateAudit },
): ToldByWorkers {
  return {
    onRecords: (batch) => {
      if (!handover()?.takeRecords(batch)) records.add(batch);
    },
    onAudit: (lines) => {
      if (!handover()?.takeAudit(lines)) audit.noteLines(lines);
    },
  };
}
