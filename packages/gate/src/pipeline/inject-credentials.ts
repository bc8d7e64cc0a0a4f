import { field } from "../http1/fields.ts";
import { selectInjections } from "../worker/compile-run.ts";
import { isEchoed } from "./fill-slots.ts";
import { cgiName } from "./forwarded-fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

const STALE: Refusal = {
  code: "gate.bundle_stale",
  detail: "The node waits for a word of the organisation's server; nothing in the request is wrong.",
};

/** Sets the header that each matching grant owns; what the client sent there is gone. */
export function injectCredentials(context: RequestContext): Refusal | undefined {
  // It gets nothing that could be read there.
  const injections = isEchoed(context) ? [] : selectInjections(context.plan, context);
  if (injections.some(({ needsFreshness }) => needsFreshness === true) && !context.run.freshness.isFresh())
    return STALE;
  for (const { header, value } of injections) {
    context.fields = context.fields.filter(({ lowerName }) => cgiName(lowerName) !== cgiName(header));
    context.fields.push(field(header, value));
  }
  context.carried.push(...injections);
  return undefined;
}
