import type { RunSnapshot } from "./run-snapshot.ts";

/** Over these the oldest values are forgotten: a run that lasts and is registered anew each hour must not grow. */
const MAX_KEPT_FORMS = 2_048;
const MAX_KEPT_HOSTS = 256;

/**
 * A run's new form that also scrubs what its form before had: a service may show a value that was taken back as long
 * as the run can ask for it.
 */
export function keepScrubbing(snapshot: RunSnapshot, before: RunSnapshot | undefined): RunSnapshot {
  if (before === undefined) return snapshot;
  const current = new Set(snapshot.scrub.map(({ value }) => value));
  // What went last stands first.
  const kept = before.scrub.filter(({ value }) => !current.has(value)).slice(0, MAX_KEPT_FORMS);
  if (kept.length === 0) return snapshot;
  const granted = [...before.injections, ...before.slots].map(({ host }) => host);
  const hosts = new Set([...snapshot.scrubHosts, ...granted, ...before.scrubHosts]);
  return { ...snapshot, scrub: [...snapshot.scrub, ...kept], scrubHosts: [...hosts].slice(0, MAX_KEPT_HOSTS) };
}
