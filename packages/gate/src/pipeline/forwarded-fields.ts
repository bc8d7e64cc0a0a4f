import { HOP_BY_HOP } from "../http1/fields.ts";

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
  "x-override-url",
  "x-host",
  "x-http-host-override",
  "x-forwarded",
  "forwarded",
  "via",
  "x-real-ip",
  "x-client-ip",
  "true-client-ip",
  "cf-connecting-ip",
]);
// The gate itself states where the message goes and where it ends.
const OWN_FIELDS: ReadonlySet<string> = new Set(["host", "content-length", "http2-settings"]);

/** A field's name as CGI-like servers read it, to which `_` and `-` are one. In lower case. */
export function cgiName(lowerName: string): string {
  return lowerName.includes("_") ? lowerName.replaceAll("_", "-") : lowerName;
}

/** Whether a field may go to the upstream at all, whoever wrote it: no framing, no routing, no override. */
export function isForwarded(lowerName: string): boolean {
  const name = cgiName(lowerName);
  return (
    !HOP_BY_HOP.has(name) &&
    !OWN_FIELDS.has(name) &&
    !OVERRIDES.has(name) &&
    !name.startsWith("x-forwarded-") &&
    !name.startsWith("proxy-")
  );
}
