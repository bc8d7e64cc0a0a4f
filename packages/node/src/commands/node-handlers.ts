import { Problem, parseRunId } from "@gatehouse/core";
import type { Attachments } from "../attachments/attachments.ts";
import type { Execs } from "../runs/execs.ts";
import { streamedOf } from "../runs/find-streamed.ts";
import type { RunFiles } from "../runs/run-files.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";
import { fetchApiKey } from "../uplink/change-key.ts";
import type { FleetFollower } from "../uplink/fleet-follower.ts";
import type { NodeSession } from "../uplink/node-session.ts";
import type { Ceiling } from "./ceiling.ts";
import { collectLogs } from "./collect-logs.ts";
import type { CommandHandlers } from "./command-handlers.ts";
import { Draining } from "./draining.ts";
import { execInRun } from "./exec-in-run.ts";
import { startRun } from "./start-run.ts";
import { Starts } from "./starts.ts";

export interface NodeHandlerDeps {
  readonly stateDir: string;
  readonly sandboxes: Sandboxes;
  readonly execs: Execs;
  readonly files: RunFiles;
  readonly ceiling: Ceiling;
}

/** What handlers need of the way to the server. */
export interface HandlerUplink {
  /** `undefined` while the server is away. */
  readonly session: () => NodeSession | undefined;
  readonly fleet: Pick<FleetFollower, "refresh" | "reseal">;
  readonly attachments: Pick<Attachments, "open">;
  /** The server's time. */
  readonly now: () => number;
}

/** What this node does on command. A kind that is not here is answered with INCAPABLE. */
export function nodeHandlers(
  deps: NodeHandlerDeps,
  { session, fleet, attachments, now }: HandlerUplink,
): CommandHandlers {
  const { sandboxes, execs, stateDir } = deps;
  const streamed = streamedOf(sandboxes, execs);
  // A run before a command in one: whoever stops a run stops that, whatever else has its id.
  const holderOf = (id: string) => (execs.has(id) && !sandboxes.has(id) ? execs : sandboxes);
  const draining = new Draining();
  const starts = new Starts();
  return {
    ping: async () => ({ message: "pong" }),
    startRun: async (asked) => {
      if (draining.isUnderWay) throw new Problem("commands.draining");
      if (execs.has(asked.runId)) throw new Problem("runs.id_taken");
      await starts.run(asked.runId, startRun(asked, deps));
      return { message: asked.runId };
    },
    stopRun: async ({ runId }) => {
      await starts.settled(runId);
      await holderOf(runId).stop(parseRunId(runId));
      return {};
    },
    signalRun: async ({ runId, signal }) => {
      await holderOf(runId).signal(parseRunId(runId), signal);
      return {};
    },
    execInRun: async (asked, { actor }) => {
      await starts.run(asked.execId, execInRun(asked, { ...deps, actor }));
      return { message: asked.execId };
    },
    collectLogs: (asked) => collectLogs(asked, streamed),
    openRunStream: async (asked, { actor }) => {
      attachments.open(asked, actor);
      return {};
    },
    applyBundle: async () => {
      await fleet.refresh();
      return {};
    },
    // Whoever ordered it joins the parts to the credential: nothing of it is kept here.
    reseal: async (asked) => {
      // Which nodes there are, the newest roster says.
      await fleet.refresh();
      return { payload: new TextEncoder().encode(await fleet.reseal(asked, now())) };
    },
    drain: (asked, { signal }) => draining.run(asked, { sandboxes, now, signal }),
    rotateApiKey: async () => {
      const open = session();
      if (open === undefined) throw new Problem("server.unreachable");
      await fetchApiKey(open, stateDir);
      return {};
    },
  };
}
