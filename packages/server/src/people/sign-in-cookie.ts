import { base64url, type Random } from "@gatehouse/core";
import { hmacSha256, sha256 } from "@gatehouse/kit";
import type { SignInChecks } from "./identity-provider.ts";

/** Where a person wanted to go when they were asked to sign in. */
export type Destination = "account" | "device";
/** What a visit to the provider is for: to sign in and go there, or to sign in there too from now on. */
export type Errand = Destination | "link";

/** How long a person may take at their provider. */
export const SIGN_IN_TTL_MS = 600_000;

/** A sign-in under way, as its browser's cookie says. */
export interface SignInUnderWay {
  readonly errand: Errand;
  readonly checks: SignInChecks;
  /** Names the sign-in, to be spent once. */
  readonly sha256: Uint8Array;
  readonly expiresAt: number;
}

/** Another replica may have begun it. */
const SKEW_MS = 60_000;
const FORM = /^(\d{13})\.(account|device|link)\.[A-Za-z0-9_-]{43}$/;
const utf8 = new TextEncoder();

/** A cookie for a browser that begins. Everything else is derived from it: nothing is stored, so nobody fills a table. */
export function makeSignInCookie(errand: Errand, nowMs: number, random: Random): string {
  return `${nowMs}.${errand}.${base64url(random.bytes(32))}`;
}

export interface ReadSignInCookie {
  readonly macKey: Uint8Array;
  readonly nowMs: number;
  /** The session in which a link was begun: it ends in the same one or not at all. */
  readonly sessionId: string | undefined;
}

/** What a cookie stands for; `undefined` when it is none of ours, too old, or a link's without its session. */
export function readSignInCookie(cookie: string, from: ReadSignInCookie): SignInUnderWay | undefined {
  const { macKey, nowMs, sessionId = "" } = from;
  const [, begun = "", errand] = FORM.exec(cookie) ?? [];
  if (errand !== "account" && errand !== "device" && errand !== "link") return undefined;
  if (errand === "link" && sessionId === "") return undefined;
  const binding = errand === "link" ? sessionId : "";
  const expiresAt = Number(begun) + SIGN_IN_TTL_MS;
  if (Number(begun) > nowMs + SKEW_MS || expiresAt <= nowMs) return undefined;
  const derive = (what: string) =>
    base64url(hmacSha256(macKey, utf8.encode(`gatehouse/sign-in/${what}/`), utf8.encode(`${binding}/${cookie}`)));
  const checks = { state: derive("state"), nonce: derive("nonce"), codeVerifier: derive("verifier") };
  return { errand, checks, sha256: sha256(cookie), expiresAt };
}
