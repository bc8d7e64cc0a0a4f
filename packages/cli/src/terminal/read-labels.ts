import { Problem } from "@gatehouse/core";

/** `key=value` pairs. Fails with `usage.invalid`. */
export function readLabels(pairs: readonly string[]): Record<string, string> {
  const labels: Record<string, string> = {};
  for (const pair of pairs) {
    const at = pair.indexOf("=");
    if (at < 1) throw new Problem("usage.invalid", { detail: `--label takes key=value, not ${pair.slice(0, 40)}.` });
    labels[pair.slice(0, at)] = pair.slice(at + 1);
  }
  return labels;
}
