/** What a node sends with one number of a source: the payload, or that it had to drop it. */
export interface Batch<Payload> {
  readonly source: string;
  readonly offset: number;
  /** Unix milliseconds, the node's. */
  readonly capturedAt: number;
  readonly content:
    | { readonly kind: "payload"; readonly payload: Payload }
    | { readonly kind: "gap"; readonly through: number; readonly batches: number; readonly bytes: number };
}

/** What one stream of a node carried. */
export interface Upload<Payload> {
  readonly nodeId: string;
  readonly batches: readonly Batch<Payload>[];
}

/** Per source, the highest offset up to which all is stored. */
export type Acknowledged = ReadonlyMap<string, number>;
