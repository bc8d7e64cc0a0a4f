import { isResourceName, Problem } from "@gatehouse/core";

const API_KEY = /^gha_[0-9a-f]{8}_[A-Za-z0-9_-]{43}$/;

/**
 * A name or id of the server's where it becomes part of a command that a person may copy to a shell. Fails with
 * `server.untrusted`.
 */
export function nameItSaid(text: string): string {
  if (!isResourceName(text)) throw new Problem("server.untrusted", { detail: "It names what has no such name." });
  return text;
}

/** A member's key that the server made, as it goes to a terminal or file. Fails with `server.untrusted`. */
export function apiKeyItMade(text: string): string {
  if (!API_KEY.test(text)) throw new Problem("server.untrusted", { detail: "Its answer holds no key." });
  return text;
}
