import { field } from "../http1/fields.ts";
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

/** On hosts with a grant, asks for an answer that can be read: whole, and not encoded. */
export function prepareScrubbing(context: RequestContext): Refusal | undefined {
  if (!context.plan.isScrubbed) return undefined;
  context.fields = context.fields.filter(({ lowerName }) => !OPAQUE.has(lowerName));
  context.fields.push(field("Accept-Encoding", "identity"));
  return undefined;
}
