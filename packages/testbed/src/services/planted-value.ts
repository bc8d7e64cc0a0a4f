import { randomBytes } from "node:crypto";

/** A secret that exists nowhere else: 40 random characters behind a prefix. Found somewhere, it was leaked there. */
export function plantValue(prefix = "gh-planted-"): string {
  return prefix + randomBytes(20).toString("hex");
}
