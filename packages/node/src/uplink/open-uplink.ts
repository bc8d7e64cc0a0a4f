import { type Clock, systemRandom } from "@gatehouse/core";
import type { Health, Log } from "@gatehouse/kit";
import type { Ceiling } from "../commands/ceiling.ts";
import { CommandJournal } from "../commands/command-journal.ts";
import { nodeHandlers } from "../commands/node-handlers.ts";
import type { GateLink } from "../daemon/gate-link.ts";
import { gateFigures } from "../reports/gate-figures.ts";
import { Reports } from "../reports/reports.ts";
import type { Execs } from "../runs/execs.ts";
import { streamedOf } from "../runs/find-streamed.ts";
import type { RunFiles } from "../runs/run-files.ts";
import type { Sandboxes } from "../runs/sandboxes.ts";
import { NodeFiles } from "./node-files.ts";
import { Uplink } from "./uplink.ts";

export interface UplinkParts {
  readonly stateDir: string;
  readonly journalFile: string;
  readonly softwareVersion: string;
  readonly sandboxes: Sandboxes;
  readonly execs: Execs;
  readonly files: RunFiles;
  readonly ceiling: Ceiling;
  readonly gate: Pick<GateLink, "call">;
  readonly health: Pick<Health, "report">;
  readonly log: Log;
  readonly clock: Clock;
}

/** Joins an enrolled host's daemon to its server, which may be away. Fails with `enroll.not_enrolled`, `state.…`. */
export async function openUplink(parts: UplinkParts): Promise<Uplink> {
  const { stateDir, journalFile, softwareVersion, sandboxes, gate, log, clock } = parts;
  await new NodeFiles(stateDir).require();
  const runs = () => sandboxes.list();
  // Before the reports: their timers would keep a daemon alive that cannot start.
  const journal = CommandJournal.open(journalFile);
  const reports = Reports.open({ stateDir, log, clock, runs, sample: () => gateFigures(gate) });
  return Uplink.open({
    reports,
    journal,
    streamed: streamedOf(sandboxes, parts.execs),
    ...{ stateDir, softwareVersion, gate, log, clock, random: systemRandom },
    isWell: async () => (await parts.health.report()).status === "ok",
    putOnRecord: async (event) => {
      await gate.call("putOnRecord", event);
    },
    runCount: () => sandboxes.list().filter(({ state }) => state !== "exited").length,
    handlers: (uplink) => nodeHandlers(parts, uplink),
  });
}
