import { Problem, toCanonicalText } from "@gatehouse/core";
import {
  type Gap,
  type RunState,
  RunState_State,
  type UploadEventsRequest,
  type UploadTelemetryRequest,
} from "@gatehouse/wire";
import type { Batch } from "../../reports/batch.ts";
import type { SizedBatch } from "../../reports/read-batches.ts";
import type { RunReport, SaidRun } from "../../reports/store-events.ts";
import type { Samples } from "../../reports/store-telemetry.ts";
import { toSafeNumber } from "./safe-number.ts";

/** What a sample takes beside its texts. */
const SAMPLE_BYTES = 24;
const RUN_BYTES = 64;
const BATCH_BYTES = 32;

/** A batch of samples as it came. */
export function readTelemetry(message: UploadTelemetryRequest): SizedBatch<Samples> {
  const { payload } = message;
  if (payload.case === "gap") return sized(message, { content: readGap(payload.value), bytes: 0 });
  if (payload.case === undefined) throw new Problem("api.malformed", { detail: "payload is missing." });
  let bytes = 0;
  const samples = payload.value.samples.map(({ name, runId, time, value }) => {
    bytes += SAMPLE_BYTES + name.length + runId.length;
    return { name, runId, time: toSafeNumber(time), value };
  });
  return sized(message, { content: { kind: "payload", payload: samples }, bytes });
}

/** What a node says of its runs, as it came. */
export function readEvents(message: UploadEventsRequest): SizedBatch<RunReport> {
  const { payload } = message;
  if (payload.case === "gap") return sized(message, { content: readGap(payload.value), bytes: 0 });
  if (payload.case === undefined) throw new Problem("api.malformed", { detail: "payload is missing." });
  const runs = payload.case === "run" ? [payload.value] : payload.value.runs;
  const bytes = runs.reduce((sum, run) => sum + sizeOfRun(run), 0);
  const [first] = runs;
  const report: RunReport =
    payload.case === "run" && first !== undefined
      ? { kind: "run", run: readRun(first) }
      : { kind: "snapshot", runs: runs.map(readRun), stored: 0 };
  const isAlone = report.kind === "snapshot";
  return { ...sized(message, { content: { kind: "payload", payload: report }, bytes }), isAlone };
}

interface Envelope {
  readonly source: string;
  readonly offset: bigint;
  readonly capturedAt: bigint;
}

function sized<Payload>(
  { source, offset, capturedAt }: Envelope,
  { content, bytes }: { readonly content: Batch<Payload>["content"]; readonly bytes: number },
): SizedBatch<Payload> {
  const batch = { source, offset: toSafeNumber(offset), capturedAt: toSafeNumber(capturedAt), content };
  return { batch, bytes: BATCH_BYTES + bytes };
}

function readGap({ through, batches, bytes }: Gap) {
  return {
    kind: "gap",
    through: toSafeNumber(through),
    batches: toSafeNumber(batches),
    bytes: toSafeNumber(bytes),
  } as const;
}

const STATES = {
  [RunState_State.STARTING]: "starting",
  [RunState_State.RUNNING]: "running",
  [RunState_State.EXITED]: "exited",
} as const;

/** Text is as an event may hold it: what fails as it is stored fails what other nodes sent with it. */
function readRun(run: RunState): SaidRun {
  const { runId, exposed: isExposed, exitCode } = run;
  if (run.state === RunState_State.UNSPECIFIED) throw new Problem("api.malformed", { detail: "state is missing." });
  const state = STATES[run.state];
  const endedAt = state === "exited" ? toSafeNumber(run.endedAt) : undefined;
  return {
    runId,
    state,
    project: toCanonicalText(run.project),
    agent: toCanonicalText(run.agent),
    driver: toCanonicalText(run.driver),
    isExposed,
    grants: run.grants.map(toCanonicalText),
    createdAt: toSafeNumber(run.createdAt),
    endedAt,
    exitCode,
  };
}

function sizeOfRun({ runId, project, agent, driver, grants }: RunState): number {
  const texts = [runId, project, agent, driver, ...grants];
  return texts.reduce((sum, text) => sum + text.length, RUN_BYTES);
}
