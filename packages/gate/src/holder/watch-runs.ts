import type { Clock, Lifetime } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import { ContainerWatch } from "../engines/container-watch.ts";
import { dockerEngine } from "../engines/docker-engine.ts";
import type { RunRegistry } from "../registry/run-registry.ts";
import type { GateConfig } from "./gate-protocol.ts";
import { IdleWatch } from "./idle-watch.ts";

export interface WatchRunsDeps {
  readonly life: Lifetime;
  readonly registry: RunRegistry;
  readonly log: Log;
  readonly clock: Clock;
  readonly onEmpty: () => void;
}

const CONTAINERS_EVERY_MS = 30_000;
const IDLE_CHECK_MS = 250;

/** Follows the runs' containers, and notices when there are no runs any more. */
export function watchRuns(config: GateConfig, { life, registry, log, clock, onEmpty }: WatchRunsDeps) {
  const containers = life.own(new ContainerWatch({ engines: config.engines.map(dockerEngine), runs: registry, log }));
  void containers.look();
  repeat(life, CONTAINERS_EVERY_MS, () => void containers.tick());
  const isEmpty = () => registry.size === 0;
  const idle = new IdleWatch({ clock, idleMs: config.emptyAfterMs, isEmpty, onEmpty });
  repeat(life, IDLE_CHECK_MS, () => idle.check());
  return { containers, idle };
}

function repeat(life: Lifetime, everyMs: number, act: () => void): void {
  const timer = setInterval(act, everyMs);
  life.defer(() => clearInterval(timer));
}
