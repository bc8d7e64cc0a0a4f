import { Problem, type SuggestedRule, type Suggestion, suggestRules, systemClock } from "@gatehouse/core";
import type { RequestRecord } from "@gatehouse/gate";
import { streamUnix } from "@gatehouse/kit";
import { stringify } from "yaml";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { note, printJson, printLine, shown } from "../terminal/print.ts";
import { requireKnown } from "./trace.ts";

const MAX_RECORDS = "100000";
const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Proposes rules for what runs were refused, as YAML to paste; each says how often it was wanted. */
export async function suggestPolicy(invocation: Invocation): Promise<number> {
  const sinceMs = readSince(textOption(invocation, "since"));
  const query = new URLSearchParams({ limit: MAX_RECORDS });
  const run = textOption(invocation, "run");
  if (run !== undefined) {
    await requireKnown(invocation, run);
    query.set("run", run);
  }
  const refused: RequestRecord[] = [];
  for await (const line of streamUnix({ socketPath: invocation.socketPath, path: `/v1/records?${query}` })) {
    const record = JSON.parse(line) as RequestRecord;
    if (record.decision === "denied" && record.time >= sinceMs) refused.push(record);
  }
  const suggestion = suggestRules(refused);
  if (isSet(invocation, "json")) printJson({ rules: suggestion.rules.map(describe), left_out: suggestion.leftOut });
  else print(suggestion);
  return 0;
}

function readSince(text: string | undefined): number {
  if (text === undefined) return 0;
  const [, count, unit = ""] = /^([0-9]{1,6})([smhd])$/.exec(text) ?? [];
  if (count === undefined) throw new Problem("usage.invalid", { detail: "--since takes 30s, 20m, 1h or 2d." });
  return systemClock.now() - Number(count) * (UNITS[unit] ?? 0);
}

function describe({ rule, requests, opensTunnel }: SuggestedRule): object {
  return { ...rule, requests, opens_tunnel: opensTunnel };
}

function print({ rules, leftOut }: Suggestion): void {
  for (const { what, why, requests } of leftOut) note(`left out ${shown(what)} (${requests}×): ${shown(why)}`);
  if (rules.length === 0) return printLine("# Nothing was refused for want of a rule.");
  printLine("# Append to the policy's rules. Each allows what was asked for and nothing else.");
  printLine("rules:");
  for (const { rule, requests, opensTunnel } of rules) {
    printLine(`  # refused ${requests === 1 ? "once" : `${requests} times`}`);
    if (opensTunnel) {
      printLine(
        "  # Only the tunnel was seen. This lets it open and no more: run again, then suggest what was asked inside.",
      );
    }
    const lines = stringify([rule], { lineWidth: 0 }).trimEnd().split("\n");
    for (const line of lines) printLine(`  ${line}`);
  }
}
