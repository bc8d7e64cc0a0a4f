import { resolve } from "node:path";
import { Problem, toProblem } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { type CreatedRun, startForegroundKeeper } from "@gatehouse/node";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { isOperators } from "../operator/is-operators.ts";
import { readPolicy } from "../policy/policy-file.ts";
import { refuseForegroundJson } from "../refuse-foreground-json.ts";
import { startDaemonIfNone } from "../start-daemon.ts";
import { ownTerminal } from "../terminal/own-terminal.ts";
import { note, printJson, printLine } from "../terminal/print.ts";
import { readHosts } from "../terminal/read-hosts.ts";
import { readVariables } from "../terminal/read-variables.ts";

const CREATE_TIMEOUT_MS = 60_000;

/** Runs a command in a sandbox of this machine: its streams, terminal, signals and exit code are the command's own. */
export async function runHere(invocation: Invocation): Promise<number> {
  const isDetached = isSet(invocation, "detach");
  refuseForegroundJson(invocation);
  const isTerminal = !isDetached && ownTerminal() !== undefined;
  const body = await describeRun(invocation, { isDetached, isTerminal });
  await startDaemonIfNone(invocation);
  const created = await create(invocation, body);
  if (isSet(invocation, "verbose")) note(`the sandbox is built by ${created.driver}`);
  speakUp(created, isTerminal || isSet(invocation, "verbose"));
  if (created.launch !== undefined) return startForegroundKeeper({ path: created.launch, isTerminal });
  if (isSet(invocation, "json")) printJson({ run_id: created.run_id, node: "local", driver: created.driver });
  else printLine(created.run_id);
  return 0;
}

async function create(invocation: Invocation, body: object): Promise<CreatedRun> {
  const { socketPath } = invocation;
  const call = { socketPath, method: "POST", path: "/v1/sandboxes", timeoutMs: CREATE_TIMEOUT_MS, body } as const;
  try {
    return (await requestUnixOk(call)) as CreatedRun;
  } catch (failure) {
    const problem = toProblem(failure);
    if (problem.code !== "grants.not_found" || !isOperators(invocation)) throw failure;
    const { code, detail = "" } = problem;
    const hint = "The organisation's credentials are served on its nodes: gatehouse run --node NODE --grant NAME.";
    throw new Problem(code, { detail: `${detail} ${hint}`.trim(), cause: failure });
  }
}

/** What is wrong with the command line is said before anything is started. */
async function describeRun(
  invocation: Invocation,
  { isDetached, isTerminal }: { readonly isDetached: boolean; readonly isTerminal: boolean },
): Promise<object> {
  return {
    command: invocation.args,
    workspace: resolve(textOption(invocation, "workspace") ?? "."),
    mounts: listOption(invocation, "mount").map((path) => resolve(path)),
    grants: listOption(invocation, "grant"),
    allow: readHosts(invocation, "allow"),
    policy: (await readPolicy(textOption(invocation, "policy") ?? "strict")).value,
    env: readVariables(listOption(invocation, "env")),
    driver: textOption(invocation, "driver"),
    project: textOption(invocation, "project"),
    agent: textOption(invocation, "agent"),
    detach: isDetached,
    tty: isTerminal,
  };
}

function speakUp({ exposed, warnings, allowed }: CreatedRun, isTalkative: boolean): void {
  if (exposed)
    note("WARNING: the process driver isolates nothing. This run is exposed: it can read what you can read.");
  for (const warning of warnings) note(`warning: ${warning}`);
  if (isTalkative && allowed.length > 0) note(`its grants allow ${allowed.join(", ")}`);
}
