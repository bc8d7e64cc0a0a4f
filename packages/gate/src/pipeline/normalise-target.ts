import { normalisePath } from "@gatehouse/core";
import { connectionOptions } from "../http1/fields.ts";
import { isForwarded } from "./forwarded-fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

// By the last two, Google's APIs take another method, and headers (its Closure library's goog.net.rpc.HttpCors).
const OVERRIDE_PARAMETERS: ReadonlySet<string> = new Set([
  "_method",
  "x-http-method-override",
  "x-http-method",
  "$httpmethod",
  "$httpheaders",
]);
// Behind these a server speaks HTTP in another framing, in which no further request would be seen or checked.
const HTTP_UPGRADE = /^(?:h2c?|http|tls)(?:[/-]|$)/;
const ONE_PROTOCOL = /^[a-z0-9._+-]{1,32}(?:\/[a-z0-9._+-]{1,16})?$/;

/** Gives the request the one form that is matched and sent: path, query and end-to-end fields. */
export function normaliseTarget(context: RequestContext): Refusal | undefined {
  const { head } = context;
  const origin = originForm(head.target);
  if (origin === "*") {
    context.path = "*";
    context.query = undefined;
  } else {
    const { path, query } = normalisePath(origin);
    context.path = path;
    context.query = removeParameters(query, OVERRIDE_PARAMETERS);
  }
  context.upgrade = allowedUpgrade(head.upgrade);
  const named = connectionOptions(head.fields);
  context.fields = head.fields.filter(({ lowerName }) => isForwarded(lowerName) && !named.has(lowerName));
  return undefined;
}

function allowedUpgrade(protocol: string | undefined): string | undefined {
  if (protocol === undefined || !ONE_PROTOCOL.test(protocol) || HTTP_UPGRADE.test(protocol)) return undefined;
  return protocol;
}

function originForm(target: string): string {
  if (target === "*" || target.startsWith("/")) return target;
  const rest = target.replace(/^https?:\/\/[^/?]+/i, "");
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** A query without the named parameters (names in lower case). Untouched when none is there. */
export function removeParameters(query: string | undefined, names: ReadonlySet<string>): string | undefined {
  if (query === undefined) return undefined;
  // Some servers part parameters by semicolons too.
  const parts = query.split(/[&;]/);
  const kept = parts.filter((part) => !isNamed(part, names));
  if (kept.length === parts.length) return query;
  return kept.length === 0 ? undefined : kept.join("&");
}

/** PHP keeps `_` for each of these: to it `a.b` is `a_b`. */
const MADE_UNDERSCORES = /[. [\0]/g;
const SPECIAL = /[. [\]\0]/;
const ASCII_ESCAPE = /%([0-7][0-9A-Fa-f])/g;

/** Whether some server reads one of these names, in lower case, in `name=value` of a query or form. */
function isNamed(part: string, names: ReadonlySet<string>): boolean {
  const end = part.indexOf("=");
  // The names are ASCII: what else is escaped need not be read, which fails where it is no UTF-8, and slowly.
  const name = (end < 0 ? part : part.slice(0, end))
    .replaceAll("+", " ")
    .replaceAll(ASCII_ESCAPE, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
    .trim()
    .toLowerCase();
  if (names.has(name)) return true;
  return SPECIAL.test(name) && (names.has(name.replaceAll(MADE_UNDERSCORES, "_")) || names.has(withoutBrackets(name)));
}

/** Rack passes over the brackets around a name: to it `[a]` is `a`. */
function withoutBrackets(name: string): string {
  const from = Math.max(0, name.search(/[^[\]]/));
  let to = name.length;
  while (to > from && name[to - 1] === "]") to -= 1;
  return name.slice(from, to);
}

/** Whether `name=value` of a query or form makes some servers take another method or other headers. */
export function isOverride(part: string): boolean {
  return isNamed(part, OVERRIDE_PARAMETERS);
}

/** A parameter's name as servers read it: decoded once, in lower case. */
export function parameterName(part: string): string {
  const end = part.indexOf("=");
  const name = end < 0 ? part : part.slice(0, end);
  if (!/[%+ ]/.test(name)) return name.toLowerCase();
  const spaced = name.replaceAll("+", " ");
  try {
    return decodeURIComponent(spaced).trim().toLowerCase();
  } catch {
    return spaced.trim().toLowerCase();
  }
}
