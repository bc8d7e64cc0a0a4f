/**
 * Copies of nodes' logs that are written in several transactions: entries that no head covers yet stand behind the rest.
 * One writer at a time; whoever begins after it takes the place.
 */
export interface CopyRecords {
  /** Whether what stands behind the covered entries is a copy that did not come to its end, or not yet. */
  isBegun(nodeId: string): Promise<boolean>;
  /** From now on `writer` alone goes on. */
  begin(nodeId: string, writer: string): Promise<void>;
  /** False when `writer` is it no more: another began. */
  goOn(nodeId: string, writer: string): Promise<boolean>;
  /** From now on nobody goes on; it stays as idle as it was. */
  abandon(nodeId: string): Promise<void>;
  end(nodeId: string): Promise<void>;
  /** Nodes of whose copies nothing was written since. */
  listIdle(since: number): Promise<readonly string[]>;
}
