import { Problem } from "@gatehouse/core";

/** `NAME=VALUE` pairs. Fails with `usage.invalid`. */
export function readVariables(pairs: readonly string[]): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw new Problem("usage.invalid", { detail: `--env takes NAME=VALUE, not ${pair.slice(0, 40)}.` });
    variables[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return variables;
}
