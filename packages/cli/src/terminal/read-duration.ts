import { Problem } from "@gatehouse/core";

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Milliseconds of `30s`, `15m`, `24h`, `2d`. Fails with `usage.invalid`. */
export function readDuration(text: string, option: string): number {
  const [, count = "", unit = ""] = /^(\d{1,9})([smhd])$/.exec(text) ?? [];
  const unitMs = UNITS[unit];
  if (unitMs === undefined) throw new Problem("usage.invalid", { detail: `${option} takes 30s, 15m, 24h or 2d.` });
  return Number(count) * unitMs;
}
