import { randomUUID } from "node:crypto";
import { create, toBinary } from "@bufbuild/protobuf";
import { CommandPayloadSchema } from "@gatehouse/wire";
import type { BenchOperator } from "./bench-operator.ts";

const WAIT_MS = 25_000;

type Targets = { readonly labels: Record<string, string> } | { readonly nodeIds: string[] };

/** Pings, and waits until every one has its end. */
export async function command({ nodes }: BenchOperator, targets: Targets): Promise<readonly number[]> {
  const payload = toBinary(CommandPayloadSchema, create(CommandPayloadSchema, { kind: { case: "ping", value: {} } }));
  const { batchId } = await nodes.sendCommand({ ...targets, payload, idempotencyKey: randomUUID() });
  for (;;) {
    const { totals } = await nodes.listCommands({ batchId, waitMs: BigInt(WAIT_MS) });
    const states = Object.keys(totals);
    if (states.every((state) => state === "ok")) return [];
    if (states.some((state) => state !== "queued" && state !== "sent" && state !== "ok"))
      throw new Error(states.join());
  }
}
