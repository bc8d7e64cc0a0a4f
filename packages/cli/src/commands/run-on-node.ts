import { canonicalJson, Problem, systemRandom, toHex } from "@gatehouse/core";
import { Liveness, type Node } from "@gatehouse/wire";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { holdRun } from "../operator/hold-run.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { startOnNode } from "../operator/start-on-node.ts";
import { withUnsealed } from "../operator/unsealed-grants.ts";
import { readPolicy } from "../policy/policy-file.ts";
import { refuseForegroundJson } from "../refuse-foreground-json.ts";
import { Interrupts } from "../terminal/interrupts.ts";
import { type OwnTerminal, ownTerminal } from "../terminal/own-terminal.ts";
import { note, printJson, printLine } from "../terminal/print.ts";
import { readHosts } from "../terminal/read-hosts.ts";
import { readVariables } from "../terminal/read-variables.ts";

const RUN_ID_BYTES = 8;
/** Options that speak of this machine. */
const LOCAL_ONLY = ["mount"] as const;

/** Runs a command in a sandbox of a node. In the foreground its streams, signals and exit code are this command's own. */
export async function runOnNode(invocation: Invocation, names: string): Promise<number> {
  refuseForegroundJson(invocation);
  for (const option of LOCAL_ONLY) {
    if (listOption(invocation, option).length > 0) {
      throw new Problem("usage.invalid", { detail: `--${option} does not go with --node.` });
    }
  }
  using interrupts = new Interrupts();
  const runId = toHex(systemRandom.bytes(RUN_ID_BYTES));
  const isDetached = isSet(invocation, "detach");
  const attachmentId = isDetached ? "" : runId;
  const described = await describeRun(invocation, isDetached ? undefined : ownTerminal());
  const kind = { case: "startRun", value: { runId, attachmentId, ...described } } as const;
  const { dir: stateDir } = invocation.config.state;
  const what = { id: runId, what: `run ${runId}`, remedy: `gatehouse stop ${runId} ends it` };
  const { node, code } = await asOperator(stateDir, async (operator) => {
    const node = await chooseNode(operator, names.split(","));
    const starting = startOnNode(operator, { ...what, node, kind, interrupts });
    const code = await starting.catch(async (failure: unknown) => {
      throw await withUnsealed(operator, { node, grants: described.grants, failure });
    });
    return { node, code };
  });
  if (code !== undefined) return code;
  interrupts[Symbol.dispose]();
  if (!isDetached) return await holdRun({ stateDir, nodeId: node.id, runId });
  if (isSet(invocation, "json")) printJson({ run_id: runId, node: node.name });
  else printLine(runId);
  return 0;
}

async function describeRun(invocation: Invocation, terminal: OwnTerminal | undefined) {
  const { value } = await readPolicy(textOption(invocation, "policy") ?? "strict");
  return {
    command: [...invocation.args],
    grants: [...listOption(invocation, "grant")],
    allow: [...readHosts(invocation, "allow")],
    policy: new TextEncoder().encode(canonicalJson(JSON.parse(JSON.stringify(value)))),
    environment: { ...terminal?.env, ...readVariables(listOption(invocation, "env")) },
    ...(terminal === undefined ? {} : { terminal: terminal.size }),
    workspace: textOption(invocation, "workspace") ?? "",
    driver: textOption(invocation, "driver") ?? "",
    project: textOption(invocation, "project") ?? "",
    agent: textOption(invocation, "agent") ?? "",
  };
}

/** The first that is connected. One that was a moment ago may be back in the next: its daemon is started again, say. */
async function chooseNode({ nodes }: Operator, names: readonly string[]): Promise<Node> {
  const away: string[] = [];
  let justGone: Node | undefined;
  for (const name of names) {
    const { node } = await nodes.getNode({ node: name });
    if (node?.isConnected === true) return node;
    if (node?.liveness === Liveness.ONLINE) justGone ??= node;
    away.push(node === undefined || node.lastSeenAt === 0n ? `${name} never was` : `${name} was ${ago(node)}`);
  }
  if (justGone !== undefined) {
    note(`${justGone.name} is not connected now, it was ${ago(justGone)}: waiting for it to come back`);
    return justGone;
  }
  throw new Problem("nodes.not_connected", { detail: `${away.join(", ")}.` });
}

function ago({ lastSeenAt }: Node): string {
  return `last seen at ${new Date(Number(lastSeenAt)).toISOString()}`;
}
