import { Problem } from "@gatehouse/core";
import type { RunRegistry } from "../registry/run-registry.ts";
import type { Changes } from "./changes.ts";

interface Frozen {
  readonly changes: Pick<Changes, "close">;
  readonly registry: Pick<RunRegistry, "freeze">;
}

/**
 * Nothing that the key-holder holds changes any more, in memory or on disk. Fails with `process.timeout` when a change
 * is not over in time, stuck on a disk say: nobody knows then what holds. What has been closed stays so.
 */
export async function freeze({ changes, registry }: Frozen, withinMs: number): Promise<void> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    late.reject(new Problem("process.timeout", { detail: "A change of what the gate holds does not end." }));
  }, withinMs);
  try {
    await Promise.race([changes.close().then(() => registry.freeze()), late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
