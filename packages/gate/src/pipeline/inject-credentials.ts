import { field } from "../http1/fields.ts";
import { selectInjections } from "../worker/compile-run.ts";
import { cgiName } from "./forwarded-fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/** Sets the header that each matching grant owns; what the client sent there is gone. */
export function injectCredentials(context: RequestContext): Refusal | undefined {
  const request = { method: context.head.method, path: context.path, isCleartext: !context.isTls };
  for (const { header, value, grant } of selectInjections(context.plan, request)) {
    context.fields = context.fields.filter(({ lowerName }) => cgiName(lowerName) !== header);
    context.fields.push(field(header, value));
    if (grant !== undefined) context.grants.push(grant);
  }
  context.isGranted = context.plan.injections.length > 0;
  return undefined;
}
