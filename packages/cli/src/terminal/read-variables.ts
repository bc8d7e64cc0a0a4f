import { Problem } from "@gatehouse/core";

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** `NAME=VALUE` pairs. Fails with `usage.invalid`, without repeating a value. */
export function readVariables(pairs: readonly string[]): Record<string, string> {
  const variables: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw new Problem("usage.invalid", { detail: `--env takes NAME=VALUE, not ${pair.slice(0, 40)}.` });
    const name = pair.slice(0, at);
    if (!NAME.test(name)) {
      const detail = `--env takes NAME=VALUE; a name has letters, digits and _, no digit first: not ${name.slice(0, 40)}.`;
      throw new Problem("usage.invalid", { detail });
    }
    variables[name] = pair.slice(at + 1);
  }
  return variables;
}
