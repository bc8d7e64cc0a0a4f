import type { Bus, BusListener, BusMessage } from "./bus.ts";

/** The bus of a server that has no other replicas. */
export function openLocalBus(): Bus {
  const listeners = new Set<BusListener>();
  return {
    publish: (message) => deliver(listeners, message),
    subscribe: (listener) => {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    [Symbol.asyncDispose]: async () => listeners.clear(),
  };
}

/** Hands a message to each listener; they must not throw. */
function deliver(listeners: ReadonlySet<BusListener>, message: BusMessage): void {
  for (const listener of [...listeners]) listener.onMessage(message);
}
