import { Problem } from "@gatehouse/core";
import { requestUnix } from "@gatehouse/kit";
import { type Invocation, textOption } from "../invocation.ts";
import { findRun } from "../operator/fleet-runs.ts";
import { holdRun } from "../operator/hold-run.ts";
import { isOperators } from "../operator/is-operators.ts";
import { asOperator } from "../operator/open-operator.ts";
import { DetachKeys } from "../terminal/detach-keys.ts";
import { note, shown } from "../terminal/print.ts";

/** Joins this command's streams and signals to a run on a node, in place of whoever had its input; ends as it does. */
export async function attach(invocation: Invocation): Promise<number> {
  const { dir: stateDir } = invocation.config.state;
  const [asked = ""] = invocation.args;
  const detachKeys = DetachKeys.parse(textOption(invocation, "detachKeys") ?? "");
  if (!isOperators(invocation)) await refuseLocal(invocation, asked);
  const { nodeId, runId, state } = await asOperator(stateDir, async (operator) => {
    try {
      return await findRun(operator, asked);
    } catch (failure) {
      if (failure instanceof Problem && failure.code === "runs.not_found") await refuseLocal(invocation, asked);
      throw failure;
    }
  });
  if (state === "exited") note("it has ended; this is what is kept of its output");
  return holdRun({ stateDir, nodeId, runId, detachKeys });
}

/** The streams of a run of this machine are its caller's own, or its log. Returns where it is none. */
async function refuseLocal({ socketPath }: Invocation, runId: string): Promise<void> {
  const path = `/v1/sandboxes/${encodeURIComponent(runId)}`;
  const answer = await requestUnix({ socketPath, path }).catch(() => undefined);
  if (answer?.status !== 200) return;
  const id = shown(runId);
  throw new Problem("usage.invalid", {
    detail: `${id} is a run of this machine, and attach is for runs on nodes. Here: gatehouse logs -f ${id} follows its output, gatehouse exec ${id} -- COMMAND runs a further command in it.`,
  });
}
