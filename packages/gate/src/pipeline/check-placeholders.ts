import type { Field } from "../http1/messages.ts";
import { selectInjections } from "../worker/compile-run.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/** A placeholder may stand only in the header that its grant owns on this host; anywhere else the request is refused. */
export function checkPlaceholders(context: RequestContext): Refusal | undefined {
  const { placeholders } = context.run.snapshot;
  if (placeholders.length === 0) return undefined;
  const request = { method: context.head.method, path: context.path, isCleartext: !context.isTls };
  const slots = new Set(selectInjections(context.plan, request).map(({ header }) => header));
  const places = [
    context.head.target,
    decoded(context.head.target),
    ...context.fields.filter(({ lowerName }) => !slots.has(lowerName)).flatMap(readings),
  ];
  for (const { grant, text } of placeholders) {
    if (places.some((place) => place.includes(text))) {
      return {
        code: "gate.placeholder_misplaced",
        detail: `The placeholder of grant ${grant} may stand only in the header that the grant owns, on its hosts.`,
      };
    }
  }
  return undefined;
}

/** A value as it stands, and what Basic authentication hides. */
function readings({ value }: Field): readonly string[] {
  const basic = /^basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(value)?.[1];
  return basic === undefined ? [value] : [value, Buffer.from(basic, "base64").toString("latin1")];
}

function decoded(target: string): string {
  if (!target.includes("%")) return target;
  try {
    return decodeURIComponent(target);
  } catch {
    return target;
  }
}
