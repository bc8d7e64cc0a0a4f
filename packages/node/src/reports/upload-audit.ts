import { setTimeout as delay } from "node:timers/promises";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { isHeadLine, Problem, readHead, toProblem } from "@gatehouse/core";
import { type Log, lastHeadOf, readLogFrom } from "@gatehouse/kit";
import type { UploadAuditRequestSchema } from "@gatehouse/wire";
import type { NodeSession } from "../uplink/node-session.ts";
import { sendStream } from "../uplink/send-stream.ts";

type Item = MessageInitShape<typeof UploadAuditRequestSchema>;

const LOOK_EVERY_MS = 5_000;
/** A stream ends with the head at which it has carried this much. */
const STREAM_BYTES = 4 * 1_048_576;

/**
 * Copies the node's own log to the server as it grows, from where the server stands, until the signal aborts. The server
 * may have lost some: it says where it stands each time. A log that the server refuses as forked is not sent again
 * before the next session: a person must look.
 */
export async function uploadAudit(
  folder: string,
  { gateway }: Pick<NodeSession, "gateway">,
  { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<void> {
  while (!signal.aborted) {
    try {
      await sendWhatIsNew(folder, gateway, signal);
    } catch (failure) {
      if (signal.aborted) return;
      const { code } = toProblem(failure);
      log.warn("audit log was not copied", { code });
      if (code === "audit.forked") return;
    }
    await delay(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function sendWhatIsNew(folder: string, gateway: NodeSession["gateway"], signal: AbortSignal): Promise<void> {
  const send = async (items: () => AsyncIterable<Item>) =>
    Number((await sendStream(() => gateway.uploadAudit(items(), { signal }))).acknowledgedSize);
  let stored = await send(nothing);
  // Before the entries: the log only grows.
  const head = await lastHeadOf(folder);
  if (head === undefined && stored === 0) return;
  if (head === undefined || head.size < stored) {
    // The server has entries that this log never had, or has no more: it is to see that.
    await send(() => (head === undefined ? nothing() : lastLine(folder, head.size)));
    throw new Problem("audit.forked");
  }
  while (stored < head.size) {
    const before = stored;
    stored = await send(() => covered(folder, before));
    if (stored <= before) return;
  }
}

async function* nothing(): AsyncGenerator<Item> {
  // A stream without items asks where the server stands.
}

/** Entries from `size` on, up to a head. */
async function* covered(folder: string, size: number): AsyncGenerator<Item> {
  let waiting: Item[] = [];
  let bytes = 0;
  for await (const line of readLogFrom(folder, size)) {
    waiting.push(toItem(line));
    bytes += line.length;
    if (!isHeadLine(line)) continue;
    yield* waiting;
    waiting = [];
    if (bytes >= STREAM_BYTES) return;
  }
}

async function* lastLine(folder: string, size: number): AsyncGenerator<Item> {
  let last: string | undefined;
  for await (const line of readLogFrom(folder, size - 1)) if (isHeadLine(line)) last = line;
  if (last !== undefined) yield toItem(last);
}

function toItem(line: string): Item {
  if (!isHeadLine(line)) return { item: { case: "entry", value: new TextEncoder().encode(line) } };
  const { size, root, time, keyId, signature } = readHead(line);
  const value = { size: BigInt(size), root, time: BigInt(time), keyId, signature };
  return { item: { case: "head", value } };
}
