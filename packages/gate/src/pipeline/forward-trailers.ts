import type { Field } from "../http1/messages.ts";
import { cgiName, isForwarded } from "./forwarded-fields.ts";
import type { RequestContext } from "./request-context.ts";
import { isClientAuth } from "./strip-client-auth.ts";

/** The trailer fields of a request that may pass: they stand under the rules of its header fields. */
export function forwardTrailers(trailers: readonly Field[], context: RequestContext): readonly Field[] {
  if (trailers.length === 0) return trailers;
  const { plan, run, stripsClientAuth } = context;
  const owned = new Set(plan.injections.map(({ injection }) => cgiName(injection.header)));
  return trailers.filter(
    ({ lowerName, value }) =>
      isForwarded(lowerName) &&
      !owned.has(cgiName(lowerName)) &&
      !(stripsClientAuth && isClientAuth(lowerName)) &&
      !plan.removedHeaders.has(cgiName(lowerName)) &&
      !run.snapshot.placeholders.some(({ text }) => value.includes(text)),
  );
}
