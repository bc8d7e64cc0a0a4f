import type { IncomingHttpHeaders } from "node:http";
import type { Http2ServerRequest } from "node:http2";
import { Problem } from "@gatehouse/core";

const MAX_FORM_BYTES = 4_096;

/** `__Host-`: of this origin alone, over TLS alone, whatever a neighbouring name sets. */
export const SESSION_COOKIE = "__Host-gatehouse-session";
export const KNOWN_BROWSER_COOKIE = "__Host-gatehouse-known";
export const SIGN_IN_COOKIE = "__Host-gatehouse-sign-in";

/** The value of one cookie; `undefined` when it is absent, or there twice. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  const values = (header ?? "").split(";").flatMap((pair) => {
    const at = pair.indexOf("=");
    return at > 0 && pair.slice(0, at).trim() === name ? [pair.slice(at + 1).trim()] : [];
  });
  return values.length === 1 ? values[0] : undefined;
}

export function cookie(name: string, value: string, ttlMs: number): string {
  return `${name}=${value}; Path=/; Max-Age=${Math.floor(ttlMs / 1_000)}; Secure; HttpOnly; SameSite=Lax`;
}

interface SiteHeaders {
  readonly origin: string | undefined;
  readonly fetchSite: string | undefined;
}

export function siteHeaders(headers: IncomingHttpHeaders): SiteHeaders {
  const site = headers["sec-fetch-site"];
  return { origin: headers.origin, fetchSite: typeof site === "string" ? site : undefined };
}

/**
 * Refuses what another site made a browser send. A browser states the origin of whatever is no plain read; one that
 * also says where the request comes from must say: from here.
 */
export function refuseOtherSites({ origin, fetchSite }: SiteHeaders, own: string): void {
  if (origin !== own || (fetchSite !== undefined && fetchSite !== "same-origin")) throw new Problem("auth.refused");
}

/** A short form. Fails with `api.malformed`; a field that is there twice is malformed. */
export async function readForm(request: Http2ServerRequest): Promise<ReadonlyMap<string, string>> {
  const [type = ""] = (request.headers["content-type"] ?? "").split(";");
  if (type.trim().toLowerCase() !== "application/x-www-form-urlencoded") throw new Problem("api.malformed");
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += (chunk as Buffer).length;
    if (bytes > MAX_FORM_BYTES) throw new Problem("api.malformed", { detail: "The form is too long." });
    chunks.push(chunk as Buffer);
  }
  const fields = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(Buffer.concat(chunks).toString("utf8"))) {
    if (fields.has(name)) throw new Problem("api.malformed", { detail: "A field is there twice." });
    fields.set(name, value);
  }
  return fields;
}
