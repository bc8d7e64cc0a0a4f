import { base64url, constantTimeEqual, fromBase64url, type Random } from "@gatehouse/core";
import { hmacSha256 } from "@gatehouse/kit";

/** How long a browser is remembered in which somebody signed in. */
export const KNOWN_BROWSER_TTL_MS = 180 * 86_400_000;

const FORM = /^(\d{13})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})$/;
const utf8 = new TextEncoder();

/** Whose browser it is. */
interface BrowserOwner {
  readonly orgId: string;
  readonly memberId: string;
}

/**
 * A cookie that says: in this browser this member signed in before. It opens nothing. Failures there count for
 * themselves, so that nobody is kept out by somebody else's guessing.
 */
export function makeKnownBrowser(owner: BrowserOwner, nowMs: number, deps: { random: Random; macKey: Uint8Array }) {
  const head = `${nowMs}.${base64url(deps.random.bytes(16))}`;
  return `${head}.${base64url(macOf(head, owner, deps.macKey))}`;
}

/** What names the browser; `undefined` when it is not known as this member's. */
export function readKnownBrowser(
  cookie: string | undefined,
  owner: BrowserOwner,
  { macKey, nowMs }: { readonly macKey: Uint8Array; readonly nowMs: number },
): string | undefined {
  const [, since = "", id = "", mac = ""] = FORM.exec(cookie ?? "") ?? [];
  const stated = fromBase64url(mac);
  if (stated === undefined || Number(since) + KNOWN_BROWSER_TTL_MS <= nowMs) return undefined;
  return constantTimeEqual(stated, macOf(`${since}.${id}`, owner, macKey)) ? id : undefined;
}

function macOf(head: string, { orgId, memberId }: BrowserOwner, macKey: Uint8Array): Uint8Array {
  return hmacSha256(macKey, utf8.encode("gatehouse/known-browser/"), utf8.encode(`${orgId}/${memberId}/${head}`));
}
