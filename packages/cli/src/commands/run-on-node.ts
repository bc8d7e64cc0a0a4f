import { canonicalJson, makeUuid, Problem, systemClock, systemRandom, toHex } from "@gatehouse/core";
import { Liveness, type Node } from "@gatehouse/wire";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { commandNode } from "../operator/command-node.ts";
import { followFleetRun } from "../operator/fleet-runs.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { readPolicy } from "../policy/policy-file.ts";
import { refuseForegroundJson } from "../refuse-foreground-json.ts";
import { note, printJson, printLine } from "../terminal/print.ts";
import { readVariables } from "../terminal/read-variables.ts";
import { writeOut } from "../terminal/write-out.ts";

const RUN_ID_BYTES = 8;
/** Options that speak of this machine. */
const LOCAL_ONLY = ["mount"] as const;

/** Runs a command in a sandbox of a node. In the foreground its output is shown, and its code is this command's. */
export async function runOnNode(invocation: Invocation, names: string): Promise<number> {
  refuseForegroundJson(invocation);
  for (const option of LOCAL_ONLY) {
    if (listOption(invocation, option).length > 0) {
      throw new Problem("usage.invalid", { detail: `--${option} does not go with --node.` });
    }
  }
  const runId = toHex(systemRandom.bytes(RUN_ID_BYTES));
  const kind = { case: "startRun", value: { runId, ...(await describeRun(invocation)) } } as const;
  return asOperator(invocation.config.state.dir, async (operator) => {
    const { id, name } = await chooseNode(operator, names.split(","));
    await commandNode(operator, id, { kind, idempotencyKey: makeUuid(systemClock.now(), systemRandom) });
    if (isSet(invocation, "detach")) {
      if (isSet(invocation, "json")) printJson({ run_id: runId, node: name });
      else printLine(runId);
      return 0;
    }
    return watch(operator, { nodeId: id, runId });
  });
}

async function describeRun(invocation: Invocation) {
  const { value } = await readPolicy(textOption(invocation, "policy") ?? "strict");
  return {
    command: [...invocation.args],
    grants: [...listOption(invocation, "grant")],
    allow: [...listOption(invocation, "allow")],
    policy: new TextEncoder().encode(canonicalJson(JSON.parse(JSON.stringify(value)))),
    environment: readVariables(listOption(invocation, "env")),
    workspace: textOption(invocation, "workspace") ?? "",
    driver: textOption(invocation, "driver") ?? "",
    project: textOption(invocation, "project") ?? "",
    agent: textOption(invocation, "agent") ?? "",
  };
}

/** The first that is online. */
async function chooseNode({ nodes }: Operator, names: readonly string[]): Promise<Node> {
  for (const name of names) {
    const { node } = await nodes.getNode({ node: name });
    if (node !== undefined && (node.liveness === Liveness.ONLINE || names.length === 1)) return node;
  }
  throw new Problem("commands.unanswered", { detail: "None of these nodes is online." });
}

/** Shows a run's output until it ends; Ctrl-C ends the run. */
async function watch(operator: Operator, run: { readonly nodeId: string; readonly runId: string }): Promise<number> {
  const stop = () => {
    note("stopping the run");
    const kind = { case: "stopRun", value: { runId: run.runId } } as const;
    void commandNode(operator, run.nodeId, { kind }).catch((failure: unknown) => note(String(failure)));
  };
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, stop);
  return (await followFleetRun(operator, { ...run, follows: true, write: writeOut })) ?? 1;
}
