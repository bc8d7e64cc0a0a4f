import { type Problem, type ProblemCode, toProblem } from "@gatehouse/core";
import { type CalledCommand, nextStep } from "./next-step.ts";
import { note, shown, shownLines } from "./print.ts";

interface Called extends CalledCommand {
  /** Its first argument. */
  readonly asked: string | undefined;
  /** In place of the problem's own. */
  readonly exitCode?: number;
}

/**
 * Prints a failure as a person wants to read it and returns the exit code. The stack is for those who ask. A node or a
 * server may have said what went wrong: it is shown as text.
 */
export function reportFailure(failure: unknown, called: Called): number {
  const problem = toProblem(failure);
  note(sentenceOf(problem, called));
  const next = nextStep(problem.code, called);
  if (next !== undefined) process.stderr.write(`  next: ${next}\n`);
  if (process.env.GATEHOUSE_LOG_LEVEL === "debug" || problem.code === "internal") {
    const cause = problem.cause instanceof Error ? problem.cause : problem;
    const all = cause instanceof AggregateError ? [cause, ...cause.errors] : [cause];
    for (const one of all) process.stderr.write(`${shownLines((one as Error).stack ?? String(one))}\n`);
  }
  return called.exitCode ?? problem.row.exit;
}

/** Of these commands the first argument is what was not found. */
const LOOKED_FOR: Readonly<Partial<Record<ProblemCode, readonly string[]>>> = {
  "credentials.not_found": ["credentials", "revoke"],
  "grants.not_found": ["revoke"],
  "keys.not_found": ["api-keys"],
  "members.not_found": ["members"],
  "policies.not_found": ["policy"],
  "runs.not_found": ["attach", "exec", "logs", "stop"],
};

function sentenceOf({ code, detail, message, row }: Problem, { group, asked }: Called): string {
  // The command is understood well enough: what is wrong with it is all that there is to say.
  if (code === "usage.invalid" && detail !== undefined) return detail;
  if (detail !== undefined || asked === undefined || LOOKED_FOR[code]?.includes(group) !== true) return message;
  return `${row.say.replace(/\.$/, "")}: ${shown(asked)}.`;
}
