import { type Field, type FramingRefusal, HEAD_LIMITS } from "./messages.ts";

const CR = 13;
const LF = 10;
const END = Buffer.from("\r\n\r\n");
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the allowed bytes of a field value (RFC 9110 §5.5) include TAB
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

export type HeadText =
  | { readonly kind: "more" }
  | { readonly kind: "text"; readonly lines: readonly string[]; readonly rest: Buffer }
  | { readonly kind: "refused"; readonly why: FramingRefusal };

/**
 * Collects the bytes of one head. Each byte is looked at a constant number of times, however the stream is split; no
 * more than the limit is kept.
 */
export class HeadCollector {
  #pending: Buffer | undefined;

  get isEmpty(): boolean {
    return this.#pending === undefined;
  }

  push(chunk: Buffer): HeadText {
    const before = this.#pending;
    const bytes = before === undefined ? chunk : Buffer.concat([before, chunk]);
    if (bytes.length === 0) return { kind: "more" };
    const end = bytes.indexOf(END, before === undefined ? 0 : Math.max(0, before.length - 3));
    if (end > HEAD_LIMITS.maxHeadBytes || (end < 0 && bytes.length > HEAD_LIMITS.maxHeadBytes)) {
      return { kind: "refused", why: "head too large" };
    }
    if (end < 0) {
      this.#pending = bytes;
      return hasBareLineFeed(bytes, before?.length ?? 0)
        ? { kind: "refused", why: "bare line feed" }
        : { kind: "more" };
    }
    this.#pending = undefined;
    const lines = bytes.toString("latin1", 0, end).split("\r\n");
    return { kind: "text", lines, rest: bytes.subarray(end + END.length) };
  }

  reset(): void {
    this.#pending = undefined;
  }
}

function hasBareLineFeed(bytes: Buffer, from: number): boolean {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1)) {
    if (bytes[at - 1] !== CR) return true;
  }
  return false;
}

/** Reads field lines strictly (RFC 9112 §5): no folding, no space before the colon, no control characters. */
export function parseFields(lines: readonly string[], from: number): readonly Field[] | FramingRefusal {
  if (lines.length - from > HEAD_LIMITS.maxFields) return "too many fields";
  const fields: Field[] = [];
  for (let at = from; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0));
    if (!TOKEN.test(name)) return "malformed field name";
    const value = trimSpace(line, colon + 1);
    if (!VALUE.test(value)) return "malformed field value";
    fields.push({ name, lowerName: name.toLowerCase(), value });
  }
  return fields;
}

function trimSpace(line: string, from: number): string {
  let start = from;
  let end = line.length;
  while (start < end && isSpace(line.charCodeAt(start))) start += 1;
  while (end > start && isSpace(line.charCodeAt(end - 1))) end -= 1;
  return line.slice(start, end);
}

function isSpace(code: number): boolean {
  return code === 32 || code === 9;
}
