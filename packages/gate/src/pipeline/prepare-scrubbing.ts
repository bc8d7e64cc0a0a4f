import { field, listMembers } from "../http1/fields.ts";
import { KNOWN_CODING } from "../worker/body-coding.ts";
import { cgiName } from "./forwarded-fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

// What would make the answer come in pieces, codings or charsets in which a real value is not found, or with a digest of
// it. Apache takes Request-Range for Range, Azure's storage x-ms-range before it.
const OPAQUE: ReadonlySet<string> = new Set([
  "accept-encoding",
  "accept-charset",
  "grpc-accept-encoding",
  "connect-accept-encoding",
  "range",
  "if-range",
  "request-range",
  "x-ms-range",
  "x-ms-range-get-content-md5",
  "sec-websocket-extensions",
  "a-im",
  "want-digest",
  "want-content-digest",
  "want-repr-digest",
]);

const IDENTITY = field("Accept-Encoding", "identity");

const SEARCHED_PROTOCOL = "websocket";

/**
 * On hosts whose bodies are scrubbed, asks for an answer that can be read: whole, and in a known coding or none. To
 * another protocol than WebSocket it does not switch: where a value in it ends cannot be told.
 */
export function prepareScrubbing(context: RequestContext): Refusal | undefined {
  if (!context.plan.isScrubbed) return undefined;
  if (context.upgrade !== SEARCHED_PROTOCOL) context.upgrade = undefined;
  const codings = listMembers(context.fields, "accept-encoding").filter((member) => KNOWN_CODING.test(member));
  context.fields = context.fields.filter(({ lowerName }) => !OPAQUE.has(cgiName(lowerName)));
  context.fields.push(codings.length === 0 ? IDENTITY : field("Accept-Encoding", codings.join(", ")));
  return undefined;
}
