import { normaliseHost, parseAuthority } from "@gatehouse/core";
import { getAllFields, getField, listMembers } from "./fields.ts";
import { HeadCollector, parseFields } from "./head-text.ts";
import { isPersistent, requestFraming } from "./message-framing.ts";
import { type Field, type FramingRefusal, HEAD_LIMITS, type HeadResult, type RequestHead } from "./messages.ts";

const REQUEST_LINE = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}) ([\x21-\x7e]+) HTTP\/1\.([01])$/;

/** Reads request heads from a stream of bytes, strictly (RFC 9112 §3). Use again for the next one. */
export class RequestHeadReader {
  readonly #collector = new HeadCollector();

  /** No byte of a next message was seen. */
  get isEmpty(): boolean {
    return this.#collector.isEmpty;
  }

  push(chunk: Buffer): HeadResult<RequestHead> {
    const text = this.#collector.push(chunk);
    if (text.kind !== "text") return text;
    const head = parseHead(text.lines);
    return typeof head === "string" ? { kind: "refused", why: head } : { kind: "head", head, rest: text.rest };
  }

  reset(): void {
    this.#collector.reset();
  }
}

function parseHead(lines: readonly string[]): RequestHead | FramingRefusal {
  const match = REQUEST_LINE.exec(lines[0] ?? "");
  if (match === null) return "malformed request line";
  const [, method = "", target = "", minor] = match;
  if (target.length > HEAD_LIMITS.maxTargetBytes) return "target too long";
  const minorVersion = minor === "1" ? 1 : 0;
  const fields = parseFields(lines, 1);
  if (typeof fields === "string") return fields;
  const wrong = checkTarget(method, target) ?? checkHost({ method, target, fields, minorVersion });
  if (wrong !== undefined) return wrong;
  const framing = requestFraming(fields, minorVersion);
  if (framing.kind === "refused") return framing.why;
  if (method === "CONNECT" && framing.kind !== "none") return "CONNECT with a body";
  const expectation = readExpectation(fields);
  if (typeof expectation === "string") return expectation;
  return {
    method,
    target,
    minorVersion,
    fields,
    framing,
    isPersistent: isPersistent(fields, minorVersion),
    expectsContinue: expectation,
    upgrade: readUpgrade(fields),
  };
}

/** origin-form, absolute-form, `*` for OPTIONS, authority-form for CONNECT; a fragment never. */
function checkTarget(method: string, target: string): FramingRefusal | undefined {
  if (method === "CONNECT") return parseAuthority(target) === undefined ? "malformed authority" : undefined;
  if (target.includes("#")) return "fragment in target";
  if (target.startsWith("/")) return undefined;
  if (target === "*") return method === "OPTIONS" ? undefined : "asterisk target";
  return /^https?:\/\/[^/?#@\\]+(?:[/?]|$)/i.test(target) ? undefined : "malformed target";
}

interface HostStatement {
  readonly method: string;
  readonly target: string;
  readonly fields: readonly Field[];
  readonly minorVersion: 0 | 1;
}

function checkHost({ method, target, fields, minorVersion }: HostStatement): FramingRefusal | undefined {
  const hosts = getAllFields(fields, "host");
  if (hosts.length > 1) return "repeated host";
  const [host] = hosts;
  if (host === undefined) return minorVersion === 1 ? "missing host" : undefined;
  const stated = parseAuthority(host, 0) ?? hostAlone(host);
  if (stated === undefined) return "malformed host";
  if (method === "CONNECT" || target.startsWith("/") || target === "*") return undefined;
  return sameAuthority(target, host) ? undefined : "host differs from target";
}

function hostAlone(text: string): { readonly host: string } | undefined {
  const host = normaliseHost(text);
  return host === undefined || text.endsWith(":") ? undefined : { host };
}

function sameAuthority(target: string, host: string): boolean {
  const [, scheme = "", authority = ""] = /^(https?):\/\/([^/?]+)/i.exec(target) ?? [];
  const port = scheme.toLowerCase() === "https" ? 443 : 80;
  const a = parseAuthority(authority, port);
  const b = parseAuthority(host, port);
  return a !== undefined && b !== undefined && a.host === b.host && a.port === b.port;
}

function readExpectation(fields: readonly Field[]): boolean | FramingRefusal {
  const expectations = getAllFields(fields, "expect");
  if (expectations.length === 0) return false;
  return expectations.length === 1 && expectations[0]?.toLowerCase() === "100-continue" ? true : "unknown expectation";
}

function readUpgrade(fields: readonly Field[]): string | undefined {
  const protocol = getField(fields, "upgrade");
  return protocol !== undefined && listMembers(fields, "connection").includes("upgrade")
    ? protocol.toLowerCase()
    : undefined;
}
