/** A signal that aborts when any of the given ones does. Dispose it, or each long-lived source keeps a listener. */
export interface LinkedSignal extends Disposable {
  readonly signal: AbortSignal;
}

/**
 * Combines signals and removes its listeners when disposed: `AbortSignal.any` on a signal that lives as long as the
 * process leaks. Absent sources are ignored; an already aborted one aborts at once with its reason.
 */
export function linkSignals(...sources: readonly (AbortSignal | undefined)[]): LinkedSignal {
  const controller = new AbortController();
  const removals: (() => void)[] = [];
  const unlink = () => {
    for (const remove of removals.splice(0)) remove();
  };
  for (const source of sources) {
    if (source === undefined) continue;
    if (source.aborted) {
      controller.abort(source.reason);
      break;
    }
    const onAbort = () => {
      controller.abort(source.reason);
      unlink();
    };
    source.addEventListener("abort", onAbort, { once: true });
    removals.push(() => source.removeEventListener("abort", onAbort));
  }
  if (controller.signal.aborted) unlink();
  return { signal: controller.signal, [Symbol.dispose]: unlink };
}
