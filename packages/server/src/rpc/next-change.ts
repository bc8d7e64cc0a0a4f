import type { Bus, BusMessage } from "../bus/bus.ts";

/** How often a waiter looks again by itself: replicas may miss a message. */
const LOOK_AGAIN_MS = 5_000;

/**
 * A function that settles when a message of interest came, some time passed, or the signal aborted: whoever waits then
 * reads the store. Ask before reading, so that no change falls between.
 */
export function nextChange(bus: Bus, isOfInterest: (message: BusMessage) => boolean) {
  return (signal: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        subscription[Symbol.dispose]();
        signal.removeEventListener("abort", done);
        resolve();
      };
      const onMessage = (message: BusMessage) => {
        if (isOfInterest(message)) done();
      };
      const timer = setTimeout(done, LOOK_AGAIN_MS);
      const subscription = bus.subscribe({ onMessage, onGap: done });
      signal.addEventListener("abort", done, { once: true });
      if (signal.aborted) done();
    });
}
