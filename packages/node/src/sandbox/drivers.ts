import { Problem } from "@gatehouse/core";
import type { DriverName } from "./driver.ts";
import type { ProbeResult } from "./probe.ts";

/**
 * The drivers of this host, each proven by a probe before its first run. A probe builds a whole sandbox; so what worked
 * is believed until a sandbox could not be built.
 */
export class Drivers {
  readonly #probe: (driver: DriverName) => Promise<ProbeResult>;
  readonly #preferred: readonly DriverName[];
  readonly #proven = new Set<DriverName>();

  /** `configured`: the driver of runs for which none is named; absent: the best that works. */
  constructor(probe: (driver: DriverName) => Promise<ProbeResult>, configured?: DriverName) {
    this.#probe = probe;
    this.#preferred = configured === undefined ? ["bubblewrap", "unshare"] : [configured];
  }

  /** The first of them that works. Fails with `sandbox.unavailable`, naming probes and fixes. */
  async firstOf(candidates = this.#preferred): Promise<DriverName> {
    const failures: string[] = [];
    for (const driver of candidates) {
      if (this.#proven.has(driver)) return driver;
      const result = await this.#probe(driver);
      if (result.ok) {
        this.#proven.add(driver);
        return driver;
      }
      failures.push(`Probe ${driver} failed: ${result.detail}. Fix: ${result.fix}`);
    }
    throw new Problem("sandbox.unavailable", { detail: failures.join(" ") });
  }

  /** A sandbox of it could not be built: it is proven anew before the next. */
  distrust(driver: DriverName): void {
    this.#proven.delete(driver);
  }
}
