import { HeadCollector, parseFields } from "./head-text.ts";
import { isPersistent, responseFraming } from "./message-framing.ts";
import type { FramingRefusal, HeadResult, ResponseHead } from "./messages.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: a reason phrase may hold TAB (RFC 9112 §4)
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

/** Reads response heads, 1xx ones included, strictly (RFC 9112 §4). Use again for the next one. */
export class ResponseHeadReader {
  readonly #collector = new HeadCollector();

  get isEmpty(): boolean {
    return this.#collector.isEmpty;
  }

  /** `method` is that of the request being answered: HEAD has no body whatever the head states. */
  push(chunk: Buffer, request: { readonly method: string }): HeadResult<ResponseHead> {
    const text = this.#collector.push(chunk);
    if (text.kind !== "text") return text;
    const head = parseHead(text.lines, request.method);
    return typeof head === "string" ? { kind: "refused", why: head } : { kind: "head", head, rest: text.rest };
  }

  reset(): void {
    this.#collector.reset();
  }
}

function parseHead(lines: readonly string[], method: string): ResponseHead | FramingRefusal {
  const match = STATUS_LINE.exec(lines[0] ?? "");
  if (match === null) return "malformed status line";
  const [, minor, code, reason = ""] = match;
  const status = Number(code);
  const minorVersion = minor === "1" ? 1 : 0;
  const fields = parseFields(lines, 1);
  if (typeof fields === "string") return fields;
  const framing = responseFraming(fields, minorVersion, { status, method });
  if (framing.kind === "refused") return framing.why;
  const persists = isPersistent(fields, minorVersion) && framing.kind !== "close";
  return { status, reason, minorVersion, fields, framing, isPersistent: persists };
}
