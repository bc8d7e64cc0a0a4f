import type { Field } from "./messages.ts";

const CRLF = Buffer.from("\r\n");

/** End of a chunked body without trailers. */
export const LAST_CHUNK = Buffer.from("0\r\n\r\n");

/** Bytes of a request head. Names and values are latin1 text that was parsed, or is of our own making. */
export function serialiseRequestHead(head: {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
}): Buffer {
  return Buffer.from(`${head.method} ${head.target} HTTP/1.1\r\n${fieldLines(head.fields)}\r\n`, "latin1");
}

/** Bytes of a response head. */
export function serialiseResponseHead(head: {
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly Field[];
}): Buffer {
  return Buffer.from(`HTTP/1.1 ${head.status} ${head.reason}\r\n${fieldLines(head.fields)}\r\n`, "latin1");
}

/** One chunk around data, as pieces: the data are not copied. */
export function encodeChunk(data: Buffer): readonly Buffer[] {
  return [Buffer.from(`${data.length.toString(16)}\r\n`, "latin1"), data, CRLF];
}

/** End of a chunked body with its trailers. */
export function encodeLastChunk(trailers: readonly Field[]): Buffer {
  return trailers.length === 0 ? LAST_CHUNK : Buffer.from(`0\r\n${fieldLines(trailers)}\r\n`, "latin1");
}

function fieldLines(fields: readonly Field[]): string {
  let text = "";
  for (const { name, value } of fields) text += `${name}: ${value}\r\n`;
  return text;
}
