import { base64url, fromBase64url } from "../encoding/base64url.ts";
import { Problem, type ProblemCode } from "../problem.ts";

/** What a one-time code says: 32 secret bytes, and a pin that tells the right server from any other. */
export interface OneTimeCode {
  readonly secret: Uint8Array;
  /** 16 bytes. */
  readonly pin: Uint8Array;
}

/** `ghe`: a host may ask to become a node. `ghs`: somebody may make an organisation. */
export type CodeKind = "ghe" | "ghs";

const SECRET_BYTES = 32;
export const PIN_BYTES = 16;
const FORM = /^(ghe|ghs)_([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{22})$/;
const REFUSED: Readonly<Record<CodeKind, ProblemCode>> = { ghe: "enroll.bad_code", ghs: "org.bad_setup_code" };

/** The text that people carry from one machine to another. */
export function formatCode(kind: CodeKind, { secret, pin }: OneTimeCode): string {
  return `${kind}_${base64url(secret)}.${base64url(pin)}`;
}

/** Reads a code; spaces around it do not matter. Fails with `enroll.bad_code` or `org.bad_setup_code`. */
export function parseCode(kind: CodeKind, text: string): OneTimeCode {
  const [, found, secretText = "", pinText = ""] = FORM.exec(text.trim()) ?? [];
  const secret = fromBase64url(secretText);
  const pin = fromBase64url(pinText);
  if (found !== kind || secret?.length !== SECRET_BYTES || pin?.length !== PIN_BYTES) throw new Problem(REFUSED[kind]);
  return { secret, pin };
}
