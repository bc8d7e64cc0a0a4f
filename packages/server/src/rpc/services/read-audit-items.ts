import { Problem, type SignedHead } from "@gatehouse/core";
import type { AuditHead, UploadAuditRequest } from "@gatehouse/wire";
import type { CopiedItem } from "../../audit/copy-node-log.ts";

/** SHA-256 as base64url. */
const KEY_ID = /^[A-Za-z0-9_-]{43}$/;
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Entries and heads as they came. Fails with `api.malformed`. */
export async function* readAuditItems(messages: AsyncIterable<UploadAuditRequest>): AsyncGenerator<CopiedItem> {
  for await (const { item } of messages) {
    if (item.case === undefined) throw new Problem("api.malformed", { detail: "item is missing." });
    if (item.case === "entry") yield { kind: "entry", text: decode(item.value) };
    else {
      yield { kind: "head", head: readHead(item.value) };
    }
  }
}

/** What an item brings of a log: a head is nothing of it, and any number of them no progress. */
export function sizeOfItem({ item }: UploadAuditRequest): number {
  return item.case === "entry" ? item.value.length : 0;
}

function readHead({ size, root, time, keyId, signature }: AuditHead): SignedHead {
  const head = { size: Number(size), root, time: Number(time), keyId, signature };
  const isReadable = [head.size, head.time].every((count) => Number.isSafeInteger(count) && count >= 0);
  if (isReadable && KEY_ID.test(keyId)) return head;
  throw new Problem("api.malformed", { detail: "A head cannot be read." });
}

function decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch (cause) {
    throw new Problem("api.malformed", { detail: "An entry is no text.", cause });
  }
}
