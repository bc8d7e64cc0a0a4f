/** What replicas tell one another: ids alone; whoever hears reads the store. */
export type BusMessage =
  | { readonly kind: "enrollment"; readonly orgId: string; readonly id: string }
  | { readonly kind: "session"; readonly orgId: string; readonly nodeId: string }
  | { readonly kind: "commands"; readonly orgId: string; readonly nodeId: string }
  | { readonly kind: "bundle"; readonly orgId: string; readonly nodeId: string }
  | { readonly kind: "events"; readonly orgId: string }
  /** Somebody may less, or is gone. */
  | { readonly kind: "people"; readonly orgId: string };

/**
 * Wakes whoever waits for a change, on this replica and the others. A message may be lost when a connection breaks:
 * `onGap` is called then, and listeners look again at everything they wait for. Publishing never waits.
 */
export interface Bus extends AsyncDisposable {
  publish(message: BusMessage): void;
  /** Calls `listener` for each message until the subscription is disposed. */
  subscribe(listener: BusListener): Disposable;
}

export interface BusListener {
  onMessage(message: BusMessage): void;
  onGap(): void;
}
