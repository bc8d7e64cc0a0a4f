import { create } from "@bufbuild/protobuf";
import { RunState_State, UploadEventsRequestSchema, UploadTelemetryRequestSchema } from "@gatehouse/wire";
import { expect, test } from "vitest";
import { readEvents, readTelemetry } from "../src/rpc/services/read-reports.ts";

/** Beyond what the database gives back as a number: a row that held it could not be read any more. */
const TOO_LARGE = 2n ** 60n;
const MALFORMED = expect.objectContaining({ code: "api.malformed" });

test("times that no clock shows are refused before anything is stored", () => {
  const sample = { name: "gate.requests", runId: "r", time: TOO_LARGE, value: 1 };
  const samples = create(UploadTelemetryRequestSchema, {
    source: "gate",
    capturedAt: 1n,
    payload: { case: "samples", value: { samples: [sample] } },
  });
  expect(() => readTelemetry(samples)).toThrow(MALFORMED);
  const captured = create(UploadTelemetryRequestSchema, { ...samples, capturedAt: TOO_LARGE });
  expect(() => readTelemetry(captured)).toThrow(MALFORMED);
  for (const times of [{ createdAt: TOO_LARGE }, { createdAt: 1n, endedAt: TOO_LARGE }]) {
    const run = { runId: "r", state: RunState_State.EXITED, ...times };
    const event = create(UploadEventsRequestSchema, {
      source: "runs",
      capturedAt: 1n,
      payload: { case: "run", value: run },
    });
    expect(() => readEvents(event)).toThrow(MALFORMED);
  }
});
