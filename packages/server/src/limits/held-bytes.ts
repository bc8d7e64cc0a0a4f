/** What messages of one call take in memory, while they arrive and wait for their turn. */
export interface Held {
  /** So much of them is there now. */
  set(bytes: number): void;
  /** The call is over. */
  release(): void;
}

/** What calls come on. */
export interface Connection {
  destroy(): unknown;
}

interface Holder {
  readonly connection: Connection;
  bytes: number;
}

/**
 * Counts what messages take that are not dealt with yet. When that is too much, the connection that holds most of it is
 * cut: who fills the memory keeps out nobody else.
 */
export class HeldBytes {
  readonly #limit: number;
  readonly #holders = new Map<Connection, Holder>();
  #total = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get total(): number {
    return this.#total;
  }

  /** A call begins on a connection. */
  begin(connection: Connection): Held {
    let own = 0;
    let isOver = false;
    const set = (bytes: number) => {
      if (isOver) return;
      this.#add(connection, bytes - own);
      own = bytes;
    };
    const release = () => {
      set(0);
      isOver = true;
    };
    return { set, release };
  }

  #add(connection: Connection, bytes: number): void {
    if (bytes === 0) return;
    const holder = this.#holders.get(connection) ?? { connection, bytes: 0 };
    this.#holders.set(connection, holder);
    holder.bytes += bytes;
    this.#total += bytes;
    if (holder.bytes === 0) this.#holders.delete(connection);
    if (this.#total > this.#limit) this.#largest()?.connection.destroy();
  }

  #largest(): Holder | undefined {
    let largest: Holder | undefined;
    for (const holder of this.#holders.values()) {
      if (largest === undefined || holder.bytes > largest.bytes) largest = holder;
    }
    return largest;
  }
}

/**
 * Counts what a call on a connection takes: among strangers' until its peer is known, and from then on no longer, however
 * the call began. Strangers who fill what there is for them cut nobody who showed who they are.
 */
export function holdByPeer(
  connection: Connection,
  isKnown: () => boolean,
  pools: Readonly<Record<"unknown" | "known", HeldBytes>>,
): Held {
  let isAmongKnown = isKnown();
  let held: Held | undefined = pools[isAmongKnown ? "known" : "unknown"].begin(connection);
  const release = () => {
    held?.release();
    held = undefined;
  };
  const set = (bytes: number) => {
    if (held === undefined) return;
    if (!isAmongKnown && isKnown()) {
      isAmongKnown = true;
      held.release();
      held = pools.known.begin(connection);
    }
    held.set(bytes);
  };
  return { set, release };
}
