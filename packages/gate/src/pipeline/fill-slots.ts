import { field } from "../http1/fields.ts";
import type { Field } from "../http1/messages.ts";
import type { HeaderSlot } from "../snapshot/run-snapshot.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/**
 * Replaces the run's placeholders in the headers that are slots on this host. A placeholder that is not the whole
 * credential of its header stays, and is refused by the next stage. Cleartext has no slots, and neither has what is
 * answered with the request itself.
 */
export function fillSlots(context: RequestContext): Refusal | undefined {
  const { slots } = context.plan;
  if (slots.length === 0 || !context.isTls || isEchoed(context)) return undefined;
  const filled = new Set<Field>();
  context.fields = context.fields.map((one) => {
    for (const slot of slots) {
      const value = slot.header === one.lowerName ? fill(one.value, slot) : undefined;
      if (value === undefined) continue;
      const replaced = field(one.name, value);
      filled.add(replaced);
      context.carried.push(slot);
      return replaced;
    }
    return one;
  });
  context.filled = filled;
  return undefined;
}

/** A TRACE is answered with the request itself (RFC 9110 §9.3.8); servers that ignore case read it in any. */
export function isEchoed({ head }: RequestContext): boolean {
  return /^tra(?:ce|ck)$/i.test(head.method);
}

const SCHEME = /^[A-Za-z][A-Za-z0-9-]{0,31} $/;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;

/** `PLACEHOLDER`, `Scheme PLACEHOLDER`, or Basic with it as user or password. `undefined`: it is not there like that. */
function fill(text: string, { placeholder, value }: HeaderSlot): string | undefined {
  if (text.endsWith(placeholder)) {
    const scheme = text.slice(0, -placeholder.length);
    return scheme === "" || SCHEME.test(scheme) ? scheme + value : undefined;
  }
  const encoded = BASIC.exec(text)?.[1];
  if (encoded === undefined) return undefined;
  const [user = "", ...rest] = Buffer.from(encoded, "base64").toString("latin1").split(":");
  const password = rest.join(":");
  if (user !== placeholder && password !== placeholder) return undefined;
  const put = (part: string) => (part === placeholder ? value : part);
  return `Basic ${Buffer.from(`${put(user)}:${put(password)}`, "latin1").toString("base64")}`;
}
