import { createReadStream } from "node:fs";
import { text } from "node:stream/consumers";
import { Problem } from "@gatehouse/core";
import { systemReason } from "@gatehouse/kit";

/** The text of a file or a pipe. Not read beyond so many bytes: a device never ends. Fails with `usage.invalid`. */
export async function readTextFile(path: string, maxBytes: number): Promise<string> {
  // `end` is the last byte that is read: one more than there may be.
  const stream = createReadStream(path, { end: maxBytes });
  const read = await text(stream).catch((cause: unknown) => {
    throw new Problem("usage.invalid", { detail: `${path} cannot be read: ${systemReason(cause)}.`, cause });
  });
  if (stream.bytesRead <= maxBytes) return read;
  throw new Problem("usage.invalid", { detail: `${path} is larger than ${maxBytes} bytes.` });
}
