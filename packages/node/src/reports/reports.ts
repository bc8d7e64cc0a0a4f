import { join } from "node:path";
import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import type { Clock } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import { RunState_State, UploadEventsRequestSchema, UploadTelemetryRequestSchema } from "@gatehouse/wire";
import type { RunRecord } from "../runs/run-files.ts";
import type { NodeSession } from "../uplink/node-session.ts";
import { Spool, type SpoolGap, type SpoolPart } from "./spool.ts";
import { uploadAudit } from "./upload-audit.ts";
import { type Acknowledge, sendPart, uploadSpool } from "./upload-spool.ts";

/** One figure of this node at one time. */
export interface NodeSample {
  readonly name: string;
  readonly value: number;
}

export interface ReportsOptions {
  readonly stateDir: string;
  readonly log: Log;
  readonly clock: Clock;
  /** Every run that the node knows. */
  readonly runs: () => readonly RunRecord[];
  /** Figures of now; none while the gate does not answer. */
  readonly sample: () => Promise<readonly NodeSample[]>;
}

const MIB = 1_048_576;
const TELEMETRY_BYTES = 48 * MIB;
const EVENT_BYTES = 16 * MIB;
const SAMPLE_EVERY_MS = 10_000;
const LOOK_EVERY_MS = 1_000;
/** As many as a snapshot may name. */
const MAX_RUNS = 10_000;

/**
 * What this node tells its server: figures each ten seconds and changes of its runs, collected whether the server is
 * there or not, and its audit log. `serve` sends them while a session is open.
 */
export class Reports implements AsyncDisposable {
  readonly #options: ReportsOptions;
  readonly #telemetry: Spool;
  readonly #events: Spool;
  readonly #timers: readonly NodeJS.Timeout[];
  /** What was said of each run last. */
  readonly #said = new Map<string, string>();
  #sampling: Promise<void> | undefined;

  private constructor(options: ReportsOptions, spools: { readonly telemetry: Spool; readonly events: Spool }) {
    this.#options = options;
    this.#telemetry = spools.telemetry;
    this.#events = spools.events;
    for (const run of options.runs()) this.#said.set(run.runId, run.state);
    this.#timers = [
      setInterval(() => {
        this.#sampling ??= this.collect().finally(() => {
          this.#sampling = undefined;
        });
      }, SAMPLE_EVERY_MS),
      setInterval(() => this.noteRuns(), LOOK_EVERY_MS),
    ];
  }

  /** Goes on with what an earlier daemon spooled. Fails when `spool/` cannot be made. */
  static open(options: ReportsOptions): Reports {
    const spool = (name: string, maxBytes: number) =>
      Spool.open({ directory: join(options.stateDir, "spool", name), maxBytes, now: () => options.clock.now() });
    return new Reports(options, {
      telemetry: spool("telemetry", TELEMETRY_BYTES),
      events: spool("events", EVENT_BYTES),
    });
  }

  /** Bytes of figures that the server does not have yet. */
  get spoolDepth(): number {
    return this.#telemetry.depth;
  }

  /** Sends what is spooled and what comes, and copies the audit log, until the signal aborts. Never fails. */
  async serve(session: Pick<NodeSession, "gateway">, signal: AbortSignal): Promise<void> {
    const { gateway } = session;
    const own = { log: this.#options.log, signal };
    this.#snapshot();
    await Promise.all([
      uploadSpool(
        this.#telemetry,
        async (part) => (await gateway.uploadTelemetry(this.#telemetryStream(part), { signal })).acknowledged,
        own,
      ),
      uploadSpool(this.#events, this.#eventsTo(session, signal), own),
      uploadAudit(join(this.#options.stateDir, "audit"), session, own),
    ]);
  }

  /** Sends what changed of the runs since they were told of last, without waiting for its turn. Never fails. */
  async tellRuns(session: Pick<NodeSession, "gateway">, signal: AbortSignal): Promise<void> {
    this.noteRuns();
    await sendPart(this.#events, this.#eventsTo(session, signal), true);
  }

  /** Takes the figures of now. */
  async collect(): Promise<void> {
    const time = BigInt(this.#options.clock.now());
    const figures = await this.#options.sample().catch(() => []);
    if (figures.length === 0) return;
    const samples = figures.map(({ name, value }) => ({ name, runId: "", time, value }));
    const payload = { case: "samples", value: { samples } } as const;
    this.#telemetry.append((offset) =>
      toBinary(
        UploadTelemetryRequestSchema,
        create(UploadTelemetryRequestSchema, { ...this.#envelope(this.#telemetry, offset), payload }),
      ),
    );
  }

  /** Takes what changed of the runs since the last look. */
  noteRuns(): void {
    const runs = this.#options.runs();
    for (const run of runs) {
      if (this.#said.get(run.runId) === run.state) continue;
      this.#said.set(run.runId, run.state);
      this.#spoolEvents({ case: "run", value: describeRun(run) });
    }
    const known = new Set(runs.map(({ runId }) => runId));
    for (const runId of this.#said.keys()) if (!known.has(runId)) this.#said.delete(runId);
  }

  #eventsTo({ gateway }: Pick<NodeSession, "gateway">, signal: AbortSignal): Acknowledge {
    return async (part) => (await gateway.uploadEvents(this.#eventStream(part), { signal })).acknowledged;
  }

  #snapshot(): void {
    const runs = this.#options.runs().slice(0, MAX_RUNS);
    for (const { runId, state } of runs) this.#said.set(runId, state);
    this.#spoolEvents({ case: "snapshot", value: { runs: runs.map(describeRun) } });
  }

  #spoolEvents(payload: NonNullable<MessageInitShape<typeof UploadEventsRequestSchema>["payload"]>): void {
    this.#events.append((offset) => {
      const message = { ...this.#envelope(this.#events, offset), payload };
      return toBinary(UploadEventsRequestSchema, create(UploadEventsRequestSchema, message));
    });
  }

  #envelope({ source }: Spool, offset: number) {
    return { source, offset: BigInt(offset), capturedAt: BigInt(this.#options.clock.now()) };
  }

  async *#telemetryStream(part: SpoolPart | undefined) {
    if (part?.gap !== undefined) yield create(UploadTelemetryRequestSchema, gapMessage(this.#telemetry, part.gap));
    for (const { bytes } of part?.batches ?? []) yield fromBinary(UploadTelemetryRequestSchema, bytes);
  }

  async *#eventStream(part: SpoolPart | undefined) {
    if (part?.gap !== undefined) yield create(UploadEventsRequestSchema, gapMessage(this.#events, part.gap));
    for (const { bytes } of part?.batches ?? []) yield fromBinary(UploadEventsRequestSchema, bytes);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    await this.#sampling;
  }
}

function gapMessage({ source }: Spool, { first, through, batches, bytes, capturedAt }: SpoolGap) {
  const value = { through: BigInt(through), batches: BigInt(batches), bytes: BigInt(bytes) };
  const payload = { case: "gap", value } as const;
  return { source, offset: BigInt(first), capturedAt: BigInt(capturedAt), payload };
}

const STATES = {
  starting: RunState_State.STARTING,
  running: RunState_State.RUNNING,
  exited: RunState_State.EXITED,
} as const;

function describeRun({ runId, state, project, agent, driver, createdAt, endedAt, code, grants }: RunRecord) {
  return {
    runId,
    state: STATES[state],
    project: project ?? "",
    agent: agent ?? "",
    driver,
    exposed: driver === "process",
    createdAt: BigInt(createdAt),
    endedAt: BigInt(endedAt ?? 0),
    exitCode: code ?? 0,
    grants: [...grants],
  };
}
