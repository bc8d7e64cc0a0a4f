import { base64url, type Random } from "@gatehouse/core";
import { hmacSha256, sha256 } from "@gatehouse/kit";
import type { SignInChecks } from "./identity-provider.ts";

/** Where a person wanted to go when they were asked to sign in. */
export type Destination = "signed-in" | "device";

/** How long a person may take at their provider. */
export const SIGN_IN_TTL_MS = 600_000;

/** A sign-in under way, as its browser's cookie says. */
export interface SignInUnderWay {
  readonly destination: Destination;
  readonly checks: SignInChecks;
  /** Names the sign-in, to be spent once. */
  readonly sha256: Uint8Array;
  readonly expiresAt: number;
}

/** Another replica may have begun it. */
const SKEW_MS = 60_000;
const FORM = /^(\d{13})\.(signed-in|device)\.[A-Za-z0-9_-]{43}$/;
const utf8 = new TextEncoder();

/** A cookie for a browser that begins. Everything else is derived from it: nothing is stored, so nobody fills a table. */
export function makeSignInCookie(destination: Destination, nowMs: number, random: Random): string {
  return `${nowMs}.${destination}.${base64url(random.bytes(32))}`;
}

/** What a cookie stands for; `undefined` when it is none of ours or too old. */
export function readSignInCookie(cookie: string, macKey: Uint8Array, nowMs: number): SignInUnderWay | undefined {
  const [, begun = "", destination] = FORM.exec(cookie) ?? [];
  if (destination !== "signed-in" && destination !== "device") return undefined;
  const expiresAt = Number(begun) + SIGN_IN_TTL_MS;
  if (Number(begun) > nowMs + SKEW_MS || expiresAt <= nowMs) return undefined;
  const derive = (what: string) =>
    base64url(hmacSha256(macKey, utf8.encode(`gatehouse/sign-in/${what}/`), utf8.encode(cookie)));
  const checks = { state: derive("state"), nonce: derive("nonce"), codeVerifier: derive("verifier") };
  return { destination, checks, sha256: sha256(cookie), expiresAt };
}
