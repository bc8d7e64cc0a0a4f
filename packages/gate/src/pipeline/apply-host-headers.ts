import { field } from "../http1/fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/**
 * Removes and appends the headers that the run's registration names for this host. What a slot or a grant fills is not
 * removed.
 */
export function applyHostHeaders(context: RequestContext): Refusal | undefined {
  const { removedHeaders, extraHeaders } = context.plan;
  if (removedHeaders.size > 0) {
    const { filled } = context;
    context.fields = context.fields.filter((one) => !removedHeaders.has(one.lowerName) || filled.has(one));
  }
  for (const { name, value } of extraHeaders) context.fields.push(field(name, value));
  return undefined;
}
