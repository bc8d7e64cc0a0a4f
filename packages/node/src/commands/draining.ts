import { setTimeout as delay } from "node:timers/promises";
import { Ack_Status, type Drain } from "@gatehouse/wire";
import type { Sandboxes } from "../runs/sandboxes.ts";
import type { CommandOutcome } from "./command-journal.ts";

const LOOK_EVERY_MS = 250;

export interface DrainDeps {
  readonly sandboxes: Sandboxes;
  /** The server's time. */
  readonly now: () => number;
  readonly signal: AbortSignal;
}

/** Empties the node: while it is under way no run is admitted, and what is left at the deadline is stopped. */
export class Draining {
  #underWay = 0;

  get isUnderWay(): boolean {
    return this.#underWay > 0;
  }

  async run({ deadline }: Drain, { sandboxes, now, signal }: DrainDeps): Promise<Partial<CommandOutcome>> {
    this.#underWay += 1;
    try {
      while (liveRuns(sandboxes).length > 0 && now() < Number(deadline)) {
        await delay(LOOK_EVERY_MS, undefined, { signal });
      }
      const left = liveRuns(sandboxes);
      const ends = await Promise.allSettled(left.map((runId) => sandboxes.stop(runId)));
      const failed = ends.filter(({ status }) => status === "rejected").length;
      if (failed > 0) return { status: Ack_Status.PARTIAL, message: `${failed} of ${left.length} runs did not stop.` };
      return { message: `${left.length} stopped at the deadline` };
    } finally {
      this.#underWay -= 1;
    }
  }
}

function liveRuns(sandboxes: Sandboxes): readonly string[] {
  return sandboxes.list().flatMap(({ runId, state }) => (state === "exited" ? [] : [runId]));
}
