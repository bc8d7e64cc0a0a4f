import { field } from "../http1/fields.ts";
import { isEchoed } from "./fill-slots.ts";
import { cgiName } from "./forwarded-fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";
import { isClientAuth } from "./strip-client-auth.ts";

/**
 * Removes and appends the headers that the run's registration names for this host. What a slot or a grant fills is not
 * removed; what authenticates is not appended to cleartext, nor to what is answered with the request itself.
 */
export function applyHostHeaders(context: RequestContext): Refusal | undefined {
  const { removedHeaders, extraHeaders } = context.plan;
  if (removedHeaders.size > 0) {
    const { filled } = context;
    context.fields = context.fields.filter((one) => !removedHeaders.has(cgiName(one.lowerName)) || filled.has(one));
  }
  const takesSecrets = context.isTls && !isEchoed(context);
  for (const { name, value } of extraHeaders) {
    if (takesSecrets || !isClientAuth(name.toLowerCase())) context.fields.push(field(name, value));
  }
  return undefined;
}
