/** What a message of a run's streams costs beside its bytes: many small ones must not fill a peer's memory either. */
const MESSAGE_COST_BYTES = 64;

/** What each side of a run's streams lets the other have under way. */
export const RUN_STREAM_WINDOW_BYTES = 262_144;
/** More credit than this at a time breaks the protocol. */
const MAX_RUN_STREAM_CREDIT_BYTES = 1_048_576;
/** Messages that fit into the most credit, and as many that carry credit. */
export const MAX_RUN_STREAM_MESSAGES = 2 * (MAX_RUN_STREAM_CREDIT_BYTES / MESSAGE_COST_BYTES);
const MAX_RUN_CHUNK_BYTES = 65_536;

/** What a message with this data costs of the receiver's credit. */
export function runStreamCost(data: Uint8Array): number {
  return data.length + MESSAGE_COST_BYTES;
}

/** How many bytes one message may carry for this credit; 0: none may be sent. */
export function affordableBytes(credit: number): number {
  return Math.max(0, Math.min(credit - MESSAGE_COST_BYTES, MAX_RUN_CHUNK_BYTES));
}

/** What one side may still send. */
export class RunStreamCredit {
  #left = 0;

  get left(): number {
    return this.#left;
  }

  /** False when it would be more than anybody may hold: the protocol is broken. */
  grant(bytes: bigint): boolean {
    if (bytes > BigInt(MAX_RUN_STREAM_CREDIT_BYTES - this.#left)) return false;
    this.#left += Number(bytes);
    return true;
  }

  /** False when there is not enough: the protocol is broken. */
  spend(data: Uint8Array): boolean {
    const cost = runStreamCost(data);
    if (cost > this.#left) return false;
    this.#left -= cost;
    return true;
  }
}
