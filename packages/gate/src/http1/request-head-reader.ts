import { parseAuthority } from "@gatehouse/core";
import { getAllFields, getField, listMembers } from "./fields.ts";
import { HeadReader } from "./head-reader.ts";
import { isPersistent, requestFraming } from "./message-framing.ts";
import { type Field, type FramingRefusal, HEAD_LIMITS, type HeadResult, type RequestHead } from "./messages.ts";

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP\/1\.([01])$/;
// What a server that ignores case would frame otherwise than one that does not: no body, or a tunnel.
const FRAMING_METHOD = /^(?:head|connect)$/i;
const ABSOLUTE_FORM = /^(https?):\/\/([^/?#@\\]+)(?:[/?]|$)/i;
const CONTINUE = "100-continue";

interface RequestLine {
  readonly method: string;
  readonly target: string;
  readonly minorVersion: 0 | 1;
}

const SORT = { parseStartLine, withoutStartLine: "malformed request line" };

/** Reads request heads from a stream of bytes, strictly (RFC 9112 §3). Use again for the next one. */
export class RequestHeadReader {
  readonly #reader = new HeadReader<RequestLine>(SORT);
  /** The Host that was last found to be well formed: clients repeat it on every request of a connection. */
  #knownHost: string | undefined;

  /** No byte of a next message was seen. */
  get isEmpty(): boolean {
    return this.#reader.isEmpty;
  }

  /** How much of a head was read that is not whole. */
  get heldBytes(): number {
    return this.#reader.heldBytes;
  }

  push(chunk: Buffer): HeadResult<RequestHead> {
    return this.#reader.push(chunk, this.#build);
  }

  /** Forgets what was read, a refusal too. */
  reset(): void {
    this.#reader.reset();
  }

  readonly #build = (line: RequestLine, fields: readonly Field[]): RequestHead | FramingRefusal => {
    const wrong = this.#checkHost(line, fields) ?? checkTarget(line, fields);
    return wrong ?? buildHead(line, fields);
  };

  #checkHost({ minorVersion }: RequestLine, fields: readonly Field[]): FramingRefusal | undefined {
    const host = getField(fields, "host");
    if (host === undefined) {
      if (fields.some(({ lowerName }) => lowerName === "host")) return "repeated host";
      return minorVersion === 1 ? "missing host" : undefined;
    }
    if (host !== this.#knownHost && parseAuthority(host, 80) === undefined) return "malformed host";
    this.#knownHost = host;
    return undefined;
  }
}

function parseStartLine(line: string): RequestLine | FramingRefusal {
  const match = REQUEST_LINE.exec(line);
  if (match === null) return SORT.withoutStartLine;
  const [, method = "", target = "", minor] = match;
  if (target.length > HEAD_LIMITS.maxTargetBytes) return "target too long";
  if (FRAMING_METHOD.test(method) && method !== method.toUpperCase()) return "ambiguous method";
  return { method, target, minorVersion: minor === "1" ? 1 : 0 };
}

/** origin-form, absolute-form, `*` for OPTIONS, authority-form for CONNECT; a fragment never. */
function checkTarget({ method, target }: RequestLine, fields: readonly Field[]): FramingRefusal | undefined {
  if (method === "CONNECT") return parseAuthority(target) === undefined ? "malformed authority" : undefined;
  if (target.includes("#")) return "fragment in target";
  if (target.startsWith("/")) return undefined;
  if (target === "*") return method === "OPTIONS" ? undefined : "asterisk target";
  return checkAbsoluteForm(target, getField(fields, "host"));
}

function checkAbsoluteForm(target: string, host: string | undefined): FramingRefusal | undefined {
  const [, scheme = "", authority = ""] = ABSOLUTE_FORM.exec(target) ?? [];
  const port = scheme.length === "https".length ? 443 : 80;
  const place = parseAuthority(authority, port);
  if (place === undefined) return "malformed target";
  if (host === undefined) return undefined;
  const stated = parseAuthority(host, port);
  return stated?.host === place.host && stated.port === place.port ? undefined : "host differs from target";
}

function buildHead(line: RequestLine, fields: readonly Field[]): RequestHead | FramingRefusal {
  const { method, target, minorVersion } = line;
  const framing = requestFraming(fields, minorVersion);
  if (framing.kind === "refused") return framing.why;
  if (method === "CONNECT" && framing.kind !== "none") return "CONNECT with a body";
  const expectations = getAllFields(fields, "expect");
  if (expectations.length > 1 || (expectations[0] ?? CONTINUE).toLowerCase() !== CONTINUE) return "unknown expectation";
  const options = listMembers(fields, "connection");
  return {
    method,
    target,
    minorVersion,
    fields,
    framing,
    isPersistent: isPersistent(options, minorVersion),
    // An HTTP/1.0 client cannot read a 100, whatever it sends (RFC 9110 §10.1.1).
    expectsContinue: expectations.length === 1 && minorVersion === 1,
    upgrade: minorVersion === 1 && options.includes("upgrade") ? getField(fields, "upgrade")?.toLowerCase() : undefined,
  };
}
