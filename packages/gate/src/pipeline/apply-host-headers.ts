import { field } from "../http1/fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/**
 * Removes and appends the headers that the run's registration names for this host. What a grant injects afterwards is
 * not removed.
 */
export function applyHostHeaders(context: RequestContext): Refusal | undefined {
  const { removedHeaders, extraHeaders } = context.plan;
  if (removedHeaders.size > 0) {
    context.fields = context.fields.filter(({ lowerName }) => !removedHeaders.has(lowerName));
  }
  for (const { name, value } of extraHeaders) context.fields.push(field(name, value));
  return undefined;
}
