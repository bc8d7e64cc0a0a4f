/** One thing that must work before the process may say that it is ready. */
export interface HealthProbe {
  readonly name: string;
  /** Resolves when the thing works. `signal` aborts when the probe has taken too long. */
  readonly check: (signal: AbortSignal) => Promise<void>;
}

/** What `/healthz` and `/readyz` say. `starting`: `setReady` was not called yet. */
export type HealthReport =
  | { readonly status: "ok" }
  | { readonly status: "starting" }
  | { readonly status: "failing"; readonly failed_probe: string; readonly reason: string };

/** Readiness as one answer. */
export interface Health {
  /** The process has finished its start; from here on the probes decide. */
  setReady(): void;
  /** Runs all probes, at most once in `cacheMs`; calls at the same time share one pass. */
  report(): Promise<HealthReport>;
}

export interface HealthOptions {
  readonly probes: readonly HealthProbe[];
  /** A probe that takes longer has failed. Default 2,000. */
  readonly probeTimeoutMs?: number;
  /** How long a result counts. Default 2,000. */
  readonly cacheMs?: number;
}

const DEFAULT_PROBE_TIMEOUT_MS = 2_000;
const DEFAULT_CACHE_MS = 2_000;

/** Opens the readiness of a process: ready means that the start has finished and every probe passes. */
export function openHealth(options: HealthOptions): Health {
  const { probes, probeTimeoutMs = DEFAULT_PROBE_TIMEOUT_MS, cacheMs = DEFAULT_CACHE_MS } = options;
  let isReady = false;
  let latest: { readonly at: number; readonly report: Promise<HealthReport> } | undefined;
  return {
    setReady: () => {
      isReady = true;
    },
    report: async () => {
      if (!isReady) return { status: "starting" };
      if (latest === undefined || performance.now() - latest.at >= cacheMs) {
        latest = { at: performance.now(), report: runProbes(probes, probeTimeoutMs) };
      }
      return latest.report;
    },
  };
}

async function runProbes(probes: readonly HealthProbe[], timeoutMs: number): Promise<HealthReport> {
  const results = await Promise.all(probes.map((probe) => runProbe(probe, timeoutMs)));
  return results.find((result) => result !== undefined) ?? { status: "ok" };
}

async function runProbe(probe: HealthProbe, timeoutMs: number): Promise<HealthReport | undefined> {
  const abort = new AbortController();
  const timedOut = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    const failure = new Error(`no answer in ${timeoutMs} ms`);
    abort.abort(failure);
    timedOut.reject(failure);
  }, timeoutMs);
  try {
    await Promise.race([probe.check(abort.signal), timedOut.promise]);
    return undefined;
  } catch (failure) {
    const reason = failure instanceof Error ? failure.message : "unknown";
    return { status: "failing", failed_probe: probe.name, reason };
  } finally {
    clearTimeout(timer);
  }
}
