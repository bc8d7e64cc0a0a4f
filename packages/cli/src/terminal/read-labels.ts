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

/** As they are given, or what stands for none. */
export function sayLabels(labels: Readonly<Record<string, string>>, none: string): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
  return pairs.length === 0 ? none : pairs.join(", ");
}
