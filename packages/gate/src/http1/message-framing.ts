import { getAllFields, listMembers } from "./fields.ts";
import type { BodyFraming, Field, FramingRefusal } from "./messages.ts";

// Fifteen digits stay below 2^53, so a length is always exact.
const LENGTH = /^[0-9]{1,15}$/;

export type FramingResult = BodyFraming | { readonly kind: "refused"; readonly why: FramingRefusal };

/** How a request's body ends (RFC 9112 §6.3); whatever has two readings is refused. */
export function requestFraming(fields: readonly Field[], minorVersion: 0 | 1): FramingResult {
  const stated = statedFraming(fields, minorVersion);
  return stated ?? { kind: "none" };
}

/** How the body of a response to `method` ends. Without a statement it lasts until the connection closes. */
export function responseFraming(
  fields: readonly Field[],
  minorVersion: 0 | 1,
  answer: { readonly status: number; readonly method: string },
): FramingResult {
  const stated = statedFraming(fields, minorVersion);
  if (stated?.kind === "refused") return stated;
  const { status, method } = answer;
  if (status < 200 || status === 204 || status === 304 || method === "HEAD") return { kind: "none" };
  return stated ?? { kind: "close" };
}

function statedFraming(fields: readonly Field[], minorVersion: 0 | 1): FramingResult | undefined {
  const codings = getAllFields(fields, "transfer-encoding");
  const lengths = getAllFields(fields, "content-length");
  if (codings.length > 0) {
    if (lengths.length > 0) return { kind: "refused", why: "both length and transfer coding" };
    if (minorVersion === 0) return { kind: "refused", why: "transfer coding in HTTP/1.0" };
    if (codings.length > 1 || codings[0]?.toLowerCase() !== "chunked") {
      return { kind: "refused", why: "unknown transfer coding" };
    }
    return { kind: "chunked" };
  }
  if (lengths.length === 0) return undefined;
  const [length = ""] = lengths;
  if (lengths.length > 1) return { kind: "refused", why: "repeated length" };
  if (!LENGTH.test(length)) return { kind: "refused", why: "malformed length" };
  return length === "0" ? { kind: "none" } : { kind: "length", bytes: Number(length) };
}

/** Whether the connection goes on after the message (RFC 9112 §9.3). */
export function isPersistent(fields: readonly Field[], minorVersion: 0 | 1): boolean {
  const options = listMembers(fields, "connection");
  if (options.includes("close")) return false;
  return minorVersion === 1 || options.includes("keep-alive");
}
