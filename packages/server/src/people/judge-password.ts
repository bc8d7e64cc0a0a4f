import { Problem, type Secret } from "@gatehouse/core";
import { normalisePassword } from "./passwords.ts";

/** NIST SP 800-63B: where the password is all there is. */
export const MIN_PASSWORD_LENGTH = 15;
export const MAX_PASSWORD_LENGTH = 128;
const MIN_DIFFERENT = 6;

/** Names that stand beside a password, and so must not make it up. */
export interface PasswordOwner {
  readonly member: string;
  readonly org: string;
}

/** Refuses a new password that is soon guessed, with `signin.weak_password` that says why. */
export function judgePassword(password: Secret, { member, org }: PasswordOwner): void {
  const text = normalisePassword(password.reveal());
  const characters = [...text];
  if (characters.length < MIN_PASSWORD_LENGTH) {
    throw weak(`It needs ${MIN_PASSWORD_LENGTH} characters or more; four unrelated words do.`);
  }
  if (characters.length > MAX_PASSWORD_LENGTH) throw weak(`It has more than ${MAX_PASSWORD_LENGTH} characters.`);
  if (new Set(withoutNames(text.toLowerCase(), [member, org, "gatehouse", "password"])).size < MIN_DIFFERENT) {
    throw weak("It is one word or a few characters again and again.");
  }
}

function withoutNames(text: string, names: readonly string[]): string {
  return names.reduce((rest, name) => rest.replaceAll(name.toLowerCase(), ""), text);
}

function weak(detail: string): Problem {
  return new Problem("signin.weak_password", { detail });
}
