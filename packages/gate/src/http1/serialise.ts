import { Problem } from "@gatehouse/core";
import type { Field } from "./messages.ts";

const CRLF = Buffer.from("\r\n");
const TARGET = /^[\x21-\x7e]+$/;

/** End of a chunked body without trailers. */
const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/**
 * Bytes of a request head. Names and values are latin1 text that was parsed, or is of our own making; whatever could
 * end its line early is refused with `internal`, and so is a target that is no visible ASCII.
 */
export function serialiseRequestHead(head: {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
}): Buffer {
  if (!TARGET.test(head.target)) throw new Problem("internal", { detail: "A target that cannot be sent." });
  return headBytes(`${head.method} ${head.target} HTTP/1.1\r\n`, head.fields);
}

/** Bytes of a response head, under the same rules. */
export function serialiseResponseHead(head: {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
}): Buffer {
  return headBytes(`HTTP/1.1 ${head.status} ${head.reason}\r\n`, head.fields);
}

/** One chunk around data, as pieces: the data are not copied. Nothing for no data, which would end the body. */
export function encodeChunk(data: Buffer): readonly Buffer[] {
  if (data.length === 0) return [];
  return [Buffer.from(`${data.length.toString(16)}\r\n`, "latin1"), data, CRLF];
}

/** End of a chunked body with its trailers. */
export function encodeLastChunk(trailers: readonly Field[]): Buffer {
  return trailers.length === 0 ? LAST_CHUNK : headBytes("0\r\n", trailers);
}

function headBytes(firstLine: string, fields: readonly Field[]): Buffer {
  let text = firstLine;
  for (const { name, value } of fields) text += `${name}: ${value}\r\n`;
  text += "\r\n";
  return Buffer.from(text, "latin1");
}
