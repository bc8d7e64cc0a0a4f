import { toProblem } from "@gatehouse/core";
import { nextStep } from "./next-step.ts";

/** Prints a failure as a person wants to read it and returns the exit code. The stack is for those who ask. */
export function reportFailure(failure: unknown, exitCode?: number): number {
  const problem = toProblem(failure);
  process.stderr.write(`gatehouse: ${problem.message}\n`);
  const next = nextStep(problem.code);
  if (next !== undefined) process.stderr.write(`  next: ${next}\n`);
  if (process.env.GATEHOUSE_LOG_LEVEL === "debug" || problem.code === "internal") {
    const cause = problem.cause instanceof Error ? problem.cause : problem;
    process.stderr.write(`${cause.stack ?? String(cause)}\n`);
  }
  return exitCode ?? problem.row.exit;
}
