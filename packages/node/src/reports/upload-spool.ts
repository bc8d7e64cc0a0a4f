import { setTimeout as delay } from "node:timers/promises";
import { toProblem } from "@gatehouse/core";
import { type Log, ServerProblem } from "@gatehouse/kit";
import { sendStream } from "../uplink/send-stream.ts";
import type { Spool, SpoolPart } from "./spool.ts";

/** Per source, the highest offset up to which the server has all. */
export type Acknowledge = (part: SpoolPart | undefined) => Promise<Readonly<Record<string, bigint>>>;

/** A stream carries less than the server's 4 MiB, and one a second goes out: a full spool is replayed in half a minute. */
const STREAM_BYTES = 3 * 1_048_576;
const STREAM_EVERY_MS = 1_000;
/** After a refusal that may pass. */
const RETRY_MS = 5_000;
/** What no repetition makes right: the batch that is named is given up, or the first one. */
const FINAL: ReadonlySet<string> = new Set(["api.malformed", "runs.foreign"]);

/** Sends what is spooled until the signal aborts. `send` of nothing asks where the server stands. */
export async function uploadSpool(
  spool: Spool,
  send: Acknowledge,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  let isAligned = false;
  while (!signal.aborted) {
    const code = await sendPart(spool, send, isAligned);
    isAligned = code === undefined;
    if (code !== undefined && !signal.aborted) log.warn("upload was refused", { source: spool.source, code });
    await delay(code === undefined ? STREAM_EVERY_MS : RETRY_MS, undefined, { signal }).catch(() => undefined);
  }
}

/** Sends one stream: a part, or nothing where it is not known how far the server has it. Returns why it failed. */
export async function sendPart(spool: Spool, send: Acknowledge, isAligned: boolean): Promise<string | undefined> {
  try {
    const part = isAligned ? spool.read(STREAM_BYTES) : undefined;
    if (!isAligned || part !== undefined) take(spool, await sendStream(() => send(part)), isAligned);
    return undefined;
  } catch (failure) {
    const { code } = toProblem(failure);
    if (FINAL.has(code)) spool.giveUp(refusedOf(spool, failure));
    return code;
  }
}

/** The number of the batch that a refusal names; servers from before name none. */
function refusedOf({ source }: Spool, failure: unknown): number | undefined {
  const batch = failure instanceof ServerProblem ? failure.batch : undefined;
  return batch?.source === source ? batch.offset : undefined;
}

function take(spool: Spool, acknowledged: Readonly<Record<string, bigint>>, isAligned: boolean): void {
  const at = acknowledged[spool.source];
  if (at !== undefined) spool.acknowledge(Number(at));
  if (!isAligned) spool.expect(at === undefined ? 0 : Number(at) + 1);
}
