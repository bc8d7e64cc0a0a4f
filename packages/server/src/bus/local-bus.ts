import type { Bus } from "./bus.ts";
import { Listeners } from "./listeners.ts";

/** The bus of a server that has no other replicas. */
export function openLocalBus(): Bus {
  const listeners = new Listeners();
  return {
    publish: (message) => listeners.deliver(message),
    subscribe: (listener) => listeners.add(listener),
    [Symbol.asyncDispose]: async () => listeners.clear(),
  };
}
