import { getAllFields } from "./fields.ts";
import type { BodyFraming, Field, FramingRefusal } from "./messages.ts";

// Fifteen digits stay below 2^53, so a length is always exact.
const LENGTH = /^[0-9]{1,15}$/;
// Names of codings are one in any case (RFC 9112 §7). No client writes it otherwise, but attacks do; some servers do.
const REQUEST_CODING = /^chunked$/;
const RESPONSE_CODING = /^chunked$/i;

type Refused = { readonly kind: "refused"; readonly why: FramingRefusal };
type FramingResult = BodyFraming | Refused;

const NONE: BodyFraming = { kind: "none" };
const CHUNKED: BodyFraming = { kind: "chunked" };
const CLOSE: BodyFraming = { kind: "close" };

/** How a request's body ends (RFC 9112 §6.3); whatever has two readings is refused. */
export function requestFraming(fields: readonly Field[], minorVersion: 0 | 1): FramingResult {
  return statedFraming(fields, minorVersion, REQUEST_CODING) ?? NONE;
}

/** How the body of a response to `method` ends. Without a statement it lasts until the connection closes. */
export function responseFraming(
  fields: readonly Field[],
  minorVersion: 0 | 1,
  answer: { readonly status: number; readonly method: string },
): FramingResult {
  const stated = statedFraming(fields, minorVersion, RESPONSE_CODING);
  if (stated?.kind === "refused") return stated;
  const { status, method } = answer;
  if (status < 200 || status === 204) {
    // Whoever states a body here may send one, which would be read as the next response (RFC 9112 §6.1, §6.2).
    return stated === undefined || stated.kind === "none" ? NONE : refused("body where none may be");
  }
  if (status === 304 || method === "HEAD") return NONE;
  return stated ?? CLOSE;
}

function statedFraming(fields: readonly Field[], minorVersion: 0 | 1, chunked: RegExp): FramingResult | undefined {
  const codings = getAllFields(fields, "transfer-encoding");
  const lengths = getAllFields(fields, "content-length");
  if (fields.some(({ lowerName }) => lowerName === "content_length" || lowerName === "transfer_encoding")) {
    // Servers behind CGI-like interfaces take `_` for `-`: to them this would state the message's end anew.
    return refused("framing field in another spelling");
  }
  const [coding] = codings;
  const [length] = lengths;
  if (codings.length > 1) return refused("repeated transfer coding");
  if (lengths.length > 1) return refused("repeated length");
  if (coding === undefined) return length === undefined ? undefined : lengthFraming(length);
  if (length !== undefined) return refused("both length and transfer coding");
  if (minorVersion === 0) return refused("transfer coding in HTTP/1.0");
  return chunked.test(coding) ? CHUNKED : refused("unknown transfer coding");
}

function lengthFraming(length: string): FramingResult {
  if (!LENGTH.test(length)) return refused("malformed length");
  const bytes = Number(length);
  return bytes === 0 ? NONE : { kind: "length", bytes };
}

function refused(why: FramingRefusal): Refused {
  return { kind: "refused", why };
}

/** Whether the connection goes on after a message with these connection options (RFC 9112 §9.3). */
export function isPersistent(options: readonly string[], minorVersion: 0 | 1): boolean {
  if (options.includes("close")) return false;
  return minorVersion === 1 || options.includes("keep-alive");
}
