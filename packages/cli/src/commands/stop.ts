import { isUnwritten, makeUuid, Problem, systemClock, systemRandom } from "@gatehouse/core";
import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { isElsewhere, stopFleetRun } from "../operator/fleet-runs.ts";
import { isOperators } from "../operator/is-operators.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Ends runs: asked first, by force after five seconds. With `--all`, every run of this host. */
export async function stop(invocation: Invocation): Promise<number> {
  const { args } = invocation;
  if ((args.length === 0) !== isSet(invocation, "all")) {
    throw new Problem("usage.invalid", { detail: "Name runs, or give --all for every run of this host." });
  }
  return args.length === 0 ? stopAll(invocation) : stopEach(invocation);
}

async function stopEach(invocation: Invocation): Promise<number> {
  const stopped: string[] = [];
  const ended: string[] = [];
  const say = isSet(invocation, "json") ? () => undefined : printLine;
  try {
    for (const runId of invocation.args) {
      const code = await stopOne(invocation, runId);
      (code === undefined ? stopped : ended).push(runId);
      say(code === undefined ? `Stopped ${runId}.` : `${runId} had ended before, with code ${code}.`);
    }
  } finally {
    if (isSet(invocation, "json")) printJson({ stopped, ...(ended.length === 0 ? {} : { ended }) });
  }
  return 0;
}

/** Answers the code with which it had ended before. */
async function stopOne(invocation: Invocation, runId: string): Promise<number | undefined> {
  const { config, socketPath } = invocation;
  if (await isElsewhere(invocation, runId)) {
    return asOperator(config.state.dir, (operator) => stopFleetRun(operator, runId));
  }
  const path = `/v1/sandboxes/${encodeURIComponent(runId)}`;
  const { state, code } = (await requestUnixOk({ socketPath, path })) as { state: string; code?: number };
  if (state === "exited") return code ?? 0;
  await requestUnixOk({ socketPath, method: "DELETE", path }).catch((failure: unknown) => {
    throw isUnwritten(failure) ? withRemedy(failure, runId) : failure;
  });
  return undefined;
}

function withRemedy({ code, detail = "", cause }: Problem, runId: string): Problem {
  const remedy = `The gate serves ${runId} nothing any more: make room on the disk, then stop it again.`;
  return new Problem(code, { detail: `${detail} ${remedy}`.trim(), cause });
}

/** Asks no server: it works while that is away. Ends with 1 when a run was not stopped, or when that is not on disk. */
async function stopAll(invocation: Invocation): Promise<number> {
  const body = { idempotency_key: makeUuid(systemClock.now(), systemRandom) };
  const call = { socketPath: invocation.socketPath, method: "POST", path: "/v1/stop-all", body } as const;
  const outcome = (await requestUnixOk({ ...call, timeoutMs: STOP_ALL_MS }).catch((failure: unknown) => {
    throw isOperators(invocation) ? withPlace(failure) : failure;
  })) as {
    readonly stopped: readonly string[];
    readonly failed: readonly string[];
    /** A daemon of before says nothing of it. */
    readonly unwritten?: readonly string[];
  };
  const { stopped, failed, unwritten = [] } = outcome;
  if (isSet(invocation, "json")) printJson(outcome);
  else for (const line of sayStopped(stopped.length, { failed, unwritten })) printLine(line);
  return failed.length + unwritten.length === 0 ? 0 : 1;
}

/** An operator's machine has nodes too, which are not meant. */
function withPlace(failure: unknown): unknown {
  if (!(failure instanceof Problem) || failure.code !== "daemon.unreachable") return failure;
  const detail =
    "--all is about this machine alone. Of a node: gatehouse stop RUN, or gatehouse stop --all on its host.";
  return new Problem(failure.code, { detail, cause: failure });
}

function sayStopped(
  count: number,
  { failed, unwritten }: Readonly<Record<"failed" | "unwritten", readonly string[]>>,
): readonly string[] {
  const remedy =
    "They are served nothing now. Make room on the disk, then stop again: a restart may serve them before.";
  return [
    `Stopped ${count} runs.`,
    ...(failed.length === 0 ? [] : [`Not stopped: ${failed.join(", ")}.`]),
    ...(unwritten.length === 0 ? [] : [`Stopped, but not written down: ${unwritten.join(", ")}. ${remedy}`]),
  ];
}

/** Each run has five seconds before it is ended by force. */
const STOP_ALL_MS = 60_000;
