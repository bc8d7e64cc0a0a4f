import { listMembers } from "./fields.ts";
import { HeadReader } from "./head-reader.ts";
import { isPersistent, responseFraming } from "./message-framing.ts";
import type { Field, FramingRefusal, HeadResult, ResponseHead } from "./messages.ts";

// One reading alone: three digits of a known class; the reason may be absent with its space, as some servers do it.
const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?$/;

interface StatusLine {
  readonly status: number;
  readonly reason: string;
  readonly minorVersion: 0 | 1;
}

const SORT = { parseStartLine, withoutStartLine: "malformed status line" };

/** Reads response heads, 1xx ones included, strictly (RFC 9112 §4). Use again for the next one. */
export class ResponseHeadReader {
  readonly #reader = new HeadReader<StatusLine>(SORT);

  /** `method` is that of the request being answered: HEAD has no body whatever the head states. */
  push(chunk: Buffer, request: { readonly method: string }): HeadResult<ResponseHead> {
    return this.#reader.push(chunk, (start, fields) => buildHead(start, fields, request.method));
  }

  /** Forgets what was read, a refusal too. */
  reset(): void {
    this.#reader.reset();
  }
}

function parseStartLine(line: string): StatusLine | FramingRefusal {
  const match = STATUS_LINE.exec(line);
  if (match === null) return SORT.withoutStartLine;
  const [, minor, code, reason = ""] = match;
  return { status: Number(code), reason, minorVersion: minor === "1" ? 1 : 0 };
}

function buildHead(start: StatusLine, fields: readonly Field[], method: string): ResponseHead | FramingRefusal {
  const { status, reason, minorVersion } = start;
  const framing = responseFraming(fields, minorVersion, { status, method });
  if (framing.kind === "refused") return framing.why;
  const persists = framing.kind !== "close" && isPersistent(listMembers(fields, "connection"), minorVersion);
  return { status, reason, minorVersion, fields, framing, isPersistent: persists };
}
