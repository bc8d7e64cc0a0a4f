import type { Health } from "@gatehouse/kit";
import { describeEnrolledHost } from "../uplink/describe-host.ts";
import type { Uplink } from "../uplink/uplink.ts";
import { openLocalAdmin } from "./local-admin.ts";
import type { PageFacts } from "./node-page.ts";
import { localPage } from "./serve-local-page.ts";
import type { StopAll, StopAllDeps } from "./stop-all.ts";

export interface LocalPageParts {
  readonly stateDir: string;
  readonly health: Pick<Health, "report">;
  readonly sandboxes: StopAllDeps["sandboxes"];
  readonly stopAll: Pick<StopAll, "run">;
  /** `undefined`: this daemon joins no server, or has not yet. */
  readonly uplink: () => Pick<Uplink, "describe"> | undefined;
}

/** The page of this host, as the port of its metrics serves it. Fails with `state.…`. */
export async function openLocalPage(parts: LocalPageParts): Promise<ReturnType<typeof localPage>> {
  const { stateDir, health, sandboxes, stopAll, uplink } = parts;
  const facts = async (): Promise<PageFacts> => ({
    host: await describeEnrolledHost(stateDir),
    health: (await health.report()).status,
    uplink: await uplink()?.describe(),
    runs: sandboxes.list().map(({ runId, state, agent, createdAt }) => ({
      ...{ runId, state, startedAt: createdAt },
      agent: agent ?? "-",
    })),
  });
  return localPage({ admin: await openLocalAdmin(stateDir), facts, stopAll });
}
