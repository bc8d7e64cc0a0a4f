import { normalisePath } from "@gatehouse/core";
import { connectionOptions, HOP_BY_HOP } from "../http1/fields.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

// Ways to make a server act on another method, URL or client than the one that was checked.
const OVERRIDES: ReadonlySet<string> = new Set([
  "x-http-method-override",
  "x-http-method",
  "x-method-override",
  "x-original-url",
  "x-original-uri",
  "x-rewrite-url",
  "x-original-method",
  "x-original-host",
  "x-host",
  "forwarded",
  "via",
  "x-real-ip",
  "x-client-ip",
  "true-client-ip",
  "cf-connecting-ip",
]);
const OVERRIDE_PARAMETERS: ReadonlySet<string> = new Set(["_method", "x-http-method-override", "x-http-method"]);

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
  const named = connectionOptions(head.fields);
  context.fields = head.fields.filter(
    ({ lowerName }) =>
      !HOP_BY_HOP.has(lowerName) &&
      !named.has(lowerName) &&
      !OVERRIDES.has(lowerName) &&
      !lowerName.startsWith("x-forwarded-") &&
      !lowerName.startsWith("proxy-") &&
      lowerName !== "host" &&
      lowerName !== "content-length",
  );
  return undefined;
}

function originForm(target: string): string {
  if (target === "*" || target.startsWith("/")) return target;
  const rest = target.replace(/^https?:\/\/[^/?]+/i, "");
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** A query without the named parameters (names in lower case). Untouched when none is there. */
export function removeParameters(query: string | undefined, names: ReadonlySet<string>): string | undefined {
  if (query === undefined) return undefined;
  const parts = query.split("&");
  const kept = parts.filter((part) => !names.has(parameterName(part)));
  if (kept.length === parts.length) return query;
  return kept.length === 0 ? undefined : kept.join("&");
}

/** A parameter's name as servers read it: decoded once, in lower case. */
export function parameterName(part: string): string {
  const name = part.split("=", 1)[0]?.replaceAll("+", " ") ?? "";
  try {
    return decodeURIComponent(name).toLowerCase();
  } catch {
    return name.toLowerCase();
  }
}
