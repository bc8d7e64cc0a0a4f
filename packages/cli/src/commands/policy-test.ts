import { dirname, resolve } from "node:path";
import { type Explanation, explainUnderPolicy } from "@gatehouse/gate";
import { type Invocation, isSet } from "../invocation.ts";
import { type PolicyCase, readPolicyCases } from "../policy/policy-cases.ts";
import { type Place, readPolicy } from "../policy/policy-file.ts";
import { colour, printJson, printLine, shown } from "../terminal/print.ts";

interface Outcome {
  readonly name: string;
  readonly ok: boolean;
  readonly line: number;
  readonly column: number;
  /** What was expected and what is, where they differ. */
  readonly differs: readonly string[];
}

/** Checks each case of a file; 1 when the policy decides one otherwise. */
export async function testPolicy(invocation: Invocation): Promise<number> {
  const file = invocation.args[0] ?? "";
  const { policy, cases } = await readPolicyCases(file);
  const isMode = policy === "strict" || policy === "permissive";
  const { value } = await readPolicy(isMode ? policy : resolve(dirname(file), policy));
  const outcomes: Outcome[] = [];
  for (const one of cases) {
    const asked = { method: one.method, url: one.url };
    outcomes.push(judge(one, await explainUnderPolicy(value, asked, { hosts: {}, ownAddresses: new Set() })));
  }
  const failed = outcomes.filter(({ ok }) => !ok);
  if (isSet(invocation, "json")) printJson({ ok: failed.length === 0, cases: outcomes });
  else {
    for (const outcome of failed) printFailure(file, outcome);
    printLine(`${outcomes.length - failed.length} of ${outcomes.length} cases hold.`);
  }
  return failed.length === 0 ? 0 : 1;
}

function judge(one: PolicyCase & Place, { action, rule, code }: Explanation): Outcome {
  const differs = [
    ["decision", one.expect, action],
    ["rule", one.rule, rule],
    ["code", one.code, code],
  ].flatMap(([what, expected, is]) =>
    expected === undefined || expected === is ? [] : [`${what}: expected ${expected}, is ${is ?? "none"}`],
  );
  return { name: one.name, ok: differs.length === 0, line: one.line, column: one.column, differs };
}

function printFailure(file: string, { name, line, column, differs }: Outcome): void {
  printLine(`${colour("FAIL", "red")} ${file}:${line}:${column} ${shown(name)}`);
  for (const difference of differs) printLine(`     ${difference}`);
}
