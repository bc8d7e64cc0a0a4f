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

/** On whose behalf a connection holds what it holds: a caller who is known, or the network that strangers come from. */
export interface Holder {
  readonly isKnown: boolean;
  readonly name: string;
}

interface Share {
  bytes: number;
  readonly connections: Map<Connection, number>;
}

/**
 * Counts what messages take that are not dealt with yet. When that is too much, whoever holds most of it loses the
 * connection that holds most of theirs: who fills the memory keeps out nobody else, over however many connections.
 */
export class HeldBytes {
  readonly #limit: number;
  readonly #shares = new Map<string, Share>();
  #total = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get total(): number {
    return this.#total;
  }

  /** A call begins on a connection of somebody's. */
  begin(holder: string, connection: Connection): Held {
    let own = 0;
    let isOver = false;
    const set = (bytes: number) => {
      if (isOver) return;
      const more = bytes - own;
      own = bytes;
      if (more !== 0) this.#add(holder, connection, more);
    };
    const release = () => {
      set(0);
      isOver = true;
    };
    return { set, release };
  }

  #add(holder: string, connection: Connection, bytes: number): void {
    const share = this.#shares.get(holder) ?? { bytes: 0, connections: new Map() };
    share.bytes += bytes;
    this.#total += bytes;
    const left = (share.connections.get(connection) ?? 0) + bytes;
    if (left === 0) share.connections.delete(connection);
    else share.connections.set(connection, left);
    if (share.bytes === 0) this.#shares.delete(holder);
    else this.#shares.set(holder, share);
    if (this.#total > this.#limit) this.#cut();
  }

  #cut(): void {
    const share = largest(this.#shares.values(), ({ bytes }) => bytes);
    const [connection] = largest(share?.connections ?? [], ([, bytes]) => bytes) ?? [];
    connection?.destroy();
  }
}

function largest<T>(all: Iterable<T>, bytesOf: (one: T) => number): T | undefined {
  let found: T | undefined;
  for (const one of all) if (found === undefined || bytesOf(one) > bytesOf(found)) found = one;
  return found;
}

/**
 * Counts what a call on a connection takes: among strangers' until its peer is known, and from then on no longer, however
 * the call began. Strangers who fill what there is for them cut nobody who showed who they are.
 */
export function holdByPeer(
  connection: Connection,
  holderNow: () => Holder,
  pools: Readonly<Record<"unknown" | "known", HeldBytes>>,
): Held {
  const begin = ({ isKnown, name }: Holder) => pools[isKnown ? "known" : "unknown"].begin(name, connection);
  let holder = holderNow();
  let held: Held | undefined = begin(holder);
  const release = () => {
    held?.release();
    held = undefined;
  };
  const set = (bytes: number) => {
    if (held === undefined) return;
    const before = holder;
    if (!before.isKnown) holder = holderNow();
    if (holder.isKnown !== before.isKnown) {
      held.release();
      held = begin(holder);
    }
    held.set(bytes);
  };
  return { set, release };
}
