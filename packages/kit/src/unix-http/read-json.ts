import type { IncomingMessage } from "node:http";
import { Problem } from "@gatehouse/core";
import { repeatsName } from "./repeats-name.ts";

/**
 * Reads a body of at most `maxBytes` as JSON; `undefined` when there is none. Fails with `api.too_large`, or with
 * `api.malformed` for what is no UTF-8, no JSON, or names a member of an object twice.
 */
export async function readJson(message: IncomingMessage, maxBytes: number): Promise<unknown> {
  const data = await readBytes(message, maxBytes);
  if (data.length === 0) return undefined;
  const { text, value } = parse(data);
  if (repeatsName(text)) throw new Problem("api.malformed", { detail: "An object of the body has a name twice." });
  return value;
}

function parse(data: Buffer): { readonly text: string; readonly value: unknown } {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    return { text, value: JSON.parse(text) };
  } catch (failure) {
    // The parser's own message quotes what was sent, and that may be a secret.
    const isText = failure instanceof SyntaxError;
    throw new Problem("api.malformed", { detail: isText ? "The body is not JSON." : "The body is not UTF-8." });
  }
}

async function readBytes(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of message as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new Problem("api.too_large", { detail: `At most ${maxBytes} bytes are read.` });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
