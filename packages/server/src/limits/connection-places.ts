import type { Socket } from "node:net";
import type { Holder } from "./held-bytes.ts";
import { networkOf } from "./network-of.ts";

/** One end of a connection, as both of its layers know it. */
export interface Peer {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

export interface ConnectionLimits {
  readonly connections: number;
  /** Under way at once on connections whose peers are not known. */
  readonly unknownCalls: number;
}

interface Unknown {
  readonly socket: Socket;
  calls: number;
}

interface Known {
  readonly socket: Socket;
  readonly who: string;
}

/** Who has more calls under way than this pays first when there are too many. */
const FAIR_CALLS = 8;

/**
 * Places of connections and of their calls. When all are taken, whoever comes gets that of the connection that has been
 * open longest without anybody on it having shown who they are: they who hold connections open, or take no answers, keep
 * out nobody but one another. Where everybody did, the newcomer is cut.
 */
export class ConnectionPlaces {
  readonly #limits: ConnectionLimits;
  readonly #unknown = new Map<string, Unknown>();
  readonly #known = new Map<string, Known>();
  #open = 0;
  #unknownCalls = 0;

  constructor(limits: ConnectionLimits) {
    this.#limits = limits;
  }

  take(socket: Socket): void {
    const name = nameOf(socket);
    this.#open += 1;
    this.#unknown.set(name, { socket, calls: 0 });
    socket.once("close", () => {
      this.#open -= 1;
      if (this.#unknown.get(name)?.socket === socket) this.#forget(name);
      if (this.#known.get(name)?.socket === socket) this.#known.delete(name);
    });
    if (this.#open > this.#limits.connections && !this.#cutOldest()) socket.destroy();
  }

  /** A call begins; what is answered is called at its end. */
  begin(peer: Peer): () => void {
    const name = nameOf(peer);
    const unknown = this.#unknown.get(name);
    if (unknown === undefined) return () => undefined;
    unknown.calls += 1;
    this.#unknownCalls += 1;
    if (this.#unknownCalls > this.#limits.unknownCalls) {
      if (unknown.calls > FAIR_CALLS) this.#cut(name, unknown);
      else this.#cutOldest();
    }
    return () => {
      if (this.#unknown.get(name) !== unknown) return;
      unknown.calls -= 1;
      this.#unknownCalls -= 1;
    };
  }

  /** Somebody showed who they are on this connection; the first one counts. */
  keep(peer: Peer, who: string): void {
    const name = nameOf(peer);
    const unknown = this.#unknown.get(name);
    if (unknown === undefined) return;
    this.#forget(name);
    this.#known.set(name, { socket: unknown.socket, who });
  }

  isKnown(peer: Peer): boolean {
    return !this.#unknown.has(nameOf(peer));
  }

  /** On whose behalf the connection is open. */
  holderOf(peer: Peer): Holder {
    const who = this.#known.get(nameOf(peer))?.who ?? networkOf(peer.remoteAddress ?? "");
    return { isKnown: this.isKnown(peer), name: who };
  }

  #cutOldest(): boolean {
    const [oldest] = this.#unknown;
    if (oldest !== undefined) this.#cut(...oldest);
    return oldest !== undefined;
  }

  #cut(name: string, { socket }: Unknown): void {
    this.#forget(name);
    socket.destroy();
  }

  #forget(name: string): void {
    this.#unknownCalls -= this.#unknown.get(name)?.calls ?? 0;
    this.#unknown.delete(name);
  }
}

function nameOf({ remoteAddress, remotePort }: Peer): string {
  return `${remoteAddress} ${remotePort}`;
}
