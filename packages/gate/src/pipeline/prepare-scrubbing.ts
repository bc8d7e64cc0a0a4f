import { field, listMembers } from "../http1/fields.ts";
import { KNOWN_CODING } from "../worker/body-coding.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

// What would make the answer come in pieces or codings in which a real value is not found.
const OPAQUE: ReadonlySet<string> = new Set([
  "accept-encoding",
  "range",
  "if-range",
  "sec-websocket-extensions",
  "a-im",
  "want-repr-digest",
]);

const IDENTITY = field("Accept-Encoding", "identity");

/** On hosts whose bodies are scrubbed, asks for an answer that can be read: whole, and in a known coding or none. */
export function prepareScrubbing(context: RequestContext): Refusal | undefined {
  if (!context.plan.isScrubbed) return undefined;
  const codings = listMembers(context.fields, "accept-encoding").filter((member) => KNOWN_CODING.test(member));
  context.fields = context.fields.filter(({ lowerName }) => !OPAQUE.has(lowerName));
  context.fields.push(codings.length === 0 ? IDENTITY : field("Accept-Encoding", codings.join(", ")));
  return undefined;
}
