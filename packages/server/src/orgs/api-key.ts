import { base64url, makeUuid, type Random, toHex } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { ApiKey } from "./org-records.ts";

/** `ghn`: a node's. `gha`: a member's. */
export type ApiKeyKind = "ghn" | "gha";

export const API_KEY_FORM = /^(ghn|gha)_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/;

const DAY_MS = 86_400_000;
export const API_KEY_TTL_MS = 90 * DAY_MS;

/** A fresh key: the text that is shown once, and what is stored of it. */
export interface IssuedApiKey {
  readonly text: string;
  readonly stored: Pick<ApiKey, "id" | "prefix" | "sha256">;
}

/** Makes `<kind>_<8 hex>_<43 characters>`. The hex part names the key in lists; the rest is 32 random bytes. */
export function issueApiKey(kind: ApiKeyKind, nowMs: number, random: Random): IssuedApiKey {
  const prefix = `${kind}_${toHex(random.bytes(4))}`;
  const text = `${prefix}_${base64url(random.bytes(32))}`;
  return { text, stored: { id: makeUuid(nowMs, random), prefix, sha256: sha256(text) } };
}
