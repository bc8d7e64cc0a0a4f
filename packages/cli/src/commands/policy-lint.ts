import type { LintFinding } from "@gatehouse/core";
import { type Invocation, isSet } from "../invocation.ts";
import { lintFile } from "../policy/lint-file.ts";
import { type Place, readPolicyFile } from "../policy/policy-file.ts";
import { colour, printJson, printLine, shown } from "../terminal/print.ts";

type PlacedFinding = Omit<LintFinding, "path"> & Place;

const TINTS = { error: "red", warning: "yellow", note: "dim" } as const;

/** Looks a policy file through; 1 when there is more to say than notes. */
export async function lintPolicyFile(invocation: Invocation): Promise<number> {
  const file = await readPolicyFile(invocation.args[0] ?? "");
  const findings = lintFile(file)
    .map(({ path, ...finding }): PlacedFinding => ({ ...finding, ...file.place(path) }))
    .sort((a, b) => a.line - b.line || a.column - b.column);
  const isGood = findings.every(({ level }) => level === "note");
  if (isSet(invocation, "json")) printJson({ ok: isGood, findings });
  else {
    for (const { level, code, message, line, column } of findings) {
      printLine(`${file.path}:${line}:${column}: ${colour(level, TINTS[level])}: ${shown(message)} (${code})`);
    }
    if (findings.length === 0) printLine(`${file.path}: nothing to say against it.`);
  }
  return isGood ? 0 : 1;
}
