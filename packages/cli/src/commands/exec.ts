import { Problem, systemRandom, toHex } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { holdExec } from "@gatehouse/node";
import { type Invocation, listOption, textOption } from "../invocation.ts";
import { findRun, isElsewhere } from "../operator/fleet-runs.ts";
import { holdRun } from "../operator/hold-run.ts";
import { asOperator } from "../operator/open-operator.ts";
import { startOnNode } from "../operator/start-on-node.ts";
import { Interrupts } from "../terminal/interrupts.ts";
import { ownTerminal } from "../terminal/own-terminal.ts";
import { readDuration } from "../terminal/read-duration.ts";
import { readVariables } from "../terminal/read-variables.ts";

const START_TIMEOUT_MS = 30_000;
const EXEC_ID_BYTES = 8;

/** Runs a further command in a run, here or on its node: its streams, signals and exit code are the command's own. */
export async function exec(invocation: Invocation): Promise<number> {
  const [runId = "", ...command] = invocation.args;
  const timeout = textOption(invocation, "timeout");
  const asked = {
    command,
    env: readVariables(listOption(invocation, "env")),
    workdir: textOption(invocation, "workdir") ?? "",
    timeoutMs: timeout === undefined ? 0 : readDuration(timeout, "--timeout"),
  };
  return (await isElsewhere(invocation, runId))
    ? execOnNode(invocation, runId, asked)
    : execHere(invocation, runId, asked);
}

interface Asked {
  readonly command: readonly string[];
  readonly env: Record<string, string>;
  readonly workdir: string;
  readonly timeoutMs: number;
}

async function execHere({ config, socketPath }: Invocation, runId: string, asked: Asked): Promise<number> {
  const { timeoutMs, env, ...rest } = asked;
  const own = ownTerminal();
  const shown = own === undefined ? { env } : { terminal: own.size, env: { ...own.env, ...env } };
  const path = `/v1/sandboxes/${encodeURIComponent(runId)}/exec`;
  const body = { ...rest, ...shown, timeout_ms: timeoutMs };
  const call = { socketPath, method: "POST", path, timeoutMs: START_TIMEOUT_MS, body } as const;
  const { keeper } = (await requestUnixOk(call)) as { readonly keeper: string };
  return holdExec({ stateDir: config.state.dir, keeper, isTerminal: own !== undefined });
}

async function execOnNode({ config }: Invocation, runId: string, asked: Asked): Promise<number> {
  const { dir: stateDir } = config.state;
  const { command, workdir, timeoutMs } = asked;
  using interrupts = new Interrupts();
  const execId = toHex(systemRandom.bytes(EXEC_ID_BYTES));
  const own = ownTerminal();
  const value = {
    ...{ runId, execId, command: [...command], workdir, timeoutMs: BigInt(timeoutMs) },
    environment: { ...own?.env, ...asked.env },
    ...(own === undefined ? {} : { terminal: own.size }),
  };
  const kind = { case: "execInRun", value } as const;
  const what = { id: execId, what: "the command", remedy: "it ends with its run" };
  const { nodeId, code } = await asOperator(stateDir, async (operator) => {
    const { nodeId, state, exitCode } = await findRun(operator, runId);
    if (state === "exited") throw new Problem("runs.not_running", { detail: `It has ended with code ${exitCode}.` });
    const node = { id: nodeId, name: "its node" };
    return { nodeId, code: await startOnNode(operator, { ...what, node, kind, interrupts }) };
  });
  if (code !== undefined) return code;
  interrupts[Symbol.dispose]();
  return await holdRun({ stateDir, nodeId, runId: execId });
}
