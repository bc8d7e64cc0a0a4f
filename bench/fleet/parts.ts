import type { Measured } from "../process.ts";
import type { BenchOperator } from "./bench-operator.ts";
import type { Simulators } from "./simulators.ts";

/** What the cases of one fleet share. */
export interface Parts {
  readonly server: Measured;
  readonly nodes: Simulators;
  readonly operator: BenchOperator;
  /** Resident bytes of the server before anybody came. */
  readonly idleBytes: number;
  readonly count: number;
  readonly label: (text: string) => string;
}

/** How long work took, and what it cost the server. */
export async function timed(server: Measured, work: () => Promise<readonly number[]>) {
  const [startedMs, cpu] = [performance.now(), server.cpuSeconds()];
  const values = await work();
  return { values, seconds: (performance.now() - startedMs) / 1_000, cpuSeconds: server.cpuSeconds() - cpu };
}
