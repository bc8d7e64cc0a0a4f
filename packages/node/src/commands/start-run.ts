import { Problem, parseRunId } from "@gatehouse/core";
import type { StartRun } from "@gatehouse/wire";
import { parseCreateRequest } from "../runs/create-request.ts";
import type { Execs } from "../runs/execs.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";
import { allowedDrivers, type Ceiling } from "./ceiling.ts";
import { requirePublic } from "./local-reach.ts";
import { discardWorkspace, makeWorkspace, type PrivateWorkspaceDeps } from "./private-workspace.ts";
import { sizeOf } from "./size-of.ts";

export interface StartRunDeps extends PrivateWorkspaceDeps {
  readonly sandboxes: Pick<Sandboxes, "create">;
  readonly execs: Pick<Execs, "holds">;
  readonly ceiling: Ceiling;
}

/** Starts a run that a command asks for, below the node's own ceiling. Returns when its command runs. */
export async function startRun(asked: StartRun, deps: StartRunDeps): Promise<void> {
  const { sandboxes, execs, ceiling, files } = deps;
  const runId = parseRunId(asked.runId);
  const drivers = allowedDrivers(asked.driver, ceiling);
  const ownsWorkspace = asked.workspace === "";
  const workspace = ownsWorkspace ? await makeWorkspace(runId, deps) : asked.workspace;
  try {
    const { command, grants, allow, environment: env } = asked;
    const named = { ...optional("project", asked.project), ...optional("agent", asked.agent) };
    const policy = asked.policy.length === 0 ? {} : { policy: readPolicy(asked.policy) };
    const request = parseCreateRequest({
      command,
      workspace,
      grants,
      allow,
      env,
      detach: true,
      ...named,
      ...policy,
    });
    requirePublic(request.policy, ceiling);
    const { workspaceRoots } = ceiling;
    const takesInput = asked.attachmentId !== "";
    const shown = asked.terminal === undefined ? {} : { terminal: sizeOf(asked.terminal) };
    const own = { drivers, workspaceRoots, ownsWorkspace, takesInput, ...shown, isCommanded: true };
    const isHeld = (keeper: string) => execs.holds(keeper);
    await sandboxes.create(request, { runId, isHeld, ...own });
  } catch (failure) {
    if (ownsWorkspace) await discardWorkspace(workspace, { runId, files });
    throw failure;
  }
}

function optional(name: string, value: string): Readonly<Record<string, string>> {
  return value === "" ? {} : { [name]: value };
}

function readPolicy(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new Problem("policy.invalid", { detail: "It is no JSON.", cause });
  }
}
