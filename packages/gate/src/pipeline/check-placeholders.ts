import type { Field } from "../http1/messages.ts";
import { selectInjections } from "../worker/compile-run.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/**
 * A placeholder may stand only in its slot, which is filled by now, or in the header that its grant owns on this host;
 * anywhere else the request is refused.
 */
export function checkPlaceholders(context: RequestContext): Refusal | undefined {
  const { placeholders } = context.run.snapshot;
  if (placeholders.length === 0) return undefined;
  const slots = new Set(selectInjections(context.plan, context).map(({ header }) => header));
  const { target } = context.head;
  // No placeholder holds a line feed: one text is searched for all.
  const places = [
    target,
    decoded(target),
    ...context.fields.flatMap((one) => (slots.has(one.lowerName) ? [] : readings(one))),
  ];
  const all = places.join("\n");
  for (const { grant, text } of placeholders) {
    if (all.includes(text)) {
      return {
        code: "gate.placeholder_misplaced",
        detail: `The placeholder of ${grant === undefined ? "a credential" : `grant ${grant}`} may stand only in the header that is meant for it, on its hosts.`,
      };
    }
  }
  return undefined;
}

/** Name and value as they stand, and what Basic authentication hides. */
function readings({ name, value }: Field): readonly string[] {
  const basic = /^basic\s+([A-Za-z0-9+/=_-]+)$/i.exec(value)?.[1];
  return basic === undefined ? [name, value] : [name, value, Buffer.from(basic, "base64").toString("latin1")];
}

function decoded(target: string): string {
  if (!target.includes("%")) return target;
  try {
    return decodeURIComponent(target);
  } catch {
    return target;
  }
}
