import { Problem } from "@gatehouse/core";
import type { Invocation } from "../invocation.ts";
import { findRun } from "../operator/fleet-runs.ts";
import { holdRun } from "../operator/hold-run.ts";
import { isOperators } from "../operator/is-operators.ts";
import { asOperator } from "../operator/open-operator.ts";

/** Joins this command's streams and signals to a run on a node, in place of whoever had its input; ends as it does. */
export async function attach(invocation: Invocation): Promise<number> {
  const { dir: stateDir } = invocation.config.state;
  if (!isOperators(invocation)) {
    throw new Problem("usage.invalid", { detail: "It is for runs on nodes, from an operator's machine. See logs -f." });
  }
  const { nodeId, runId } = await asOperator(stateDir, (operator) => findRun(operator, invocation.args[0] ?? ""));
  return holdRun({ stateDir, nodeId, runId });
}
