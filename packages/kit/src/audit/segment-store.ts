/** What a log keeps of its last head, apart from its segments: a log that is cut off behind it is noticed. */
export const LAST_HEAD = "head.json";

/** Where a log's segments are kept. A segment is named by the number of entries before it. */
export interface SegmentStore extends AsyncDisposable {
  /** In order. */
  list(): Promise<readonly number[]>;
  /** Bytes of one segment as they are now. */
  read(first: number): AsyncIterable<Buffer>;
  /**
   * Makes `data` stand at `offset`, with nothing behind it, and resolves when that is durable. Makes the segment when
   * there is none. After a failure nothing is known of what stands from `offset` on: the next write begins there again.
   */
  write(first: number, offset: number, data: Buffer): Promise<void>;
  /** Puts what stands from `offset` on out of the way, where a person finds it. Returns the name it has there. */
  setAside(first: number, offset: number): Promise<string>;
  /** The text of the last head, durable when it resolves; replaced whole. */
  readHead(): Promise<string | undefined>;
  writeHead(text: string): Promise<void>;
}
