import type { Bus, BusMessage } from "../../bus/bus.ts";
import { Attachments } from "./attachments.ts";
import type { ControlMessage, NodeStream } from "./node-stream.ts";

const DRAIN_MS = 5_000;
/** Nodes come back to another replica; each waits a random part of its own. */
const RETRY_AFTER_MS = 1_000;

/** The control streams that are open at this replica, one for each node. */
export class NodeStreams implements Disposable {
  /** Who is attached to runs of these nodes. */
  readonly attachments = new Attachments();
  readonly #streams = new Map<string, NodeStream>();
  readonly #subscription: Disposable;
  #onEmpty: (() => void) | undefined;

  constructor(bus: Bus) {
    this.#subscription = bus.subscribe({
      onMessage: (message) => this.#wake(message),
      onGap: () => {
        for (const stream of this.#streams.values()) stream.lookAgain();
      },
    });
  }

  isHere(orgId: string, nodeId: string): boolean {
    return this.#streams.get(nodeId)?.orgId === orgId;
  }

  /** Sends to a node of an organisation; false when its stream is not here, or takes no more. */
  send(orgId: string, nodeId: string, message: ControlMessage): boolean {
    const stream = this.#streams.get(nodeId);
    return stream?.orgId === orgId && stream.send(message);
  }

  /** Nodes whose streams are here. */
  get size(): number {
    return this.#streams.size;
  }

  add(stream: NodeStream): void {
    this.#streams.get(stream.nodeId)?.goAway("replaced");
    this.attachments.leave(stream.nodeId);
    this.#streams.set(stream.nodeId, stream);
  }

  remove(stream: NodeStream): void {
    if (this.#streams.get(stream.nodeId) === stream) {
      this.#streams.delete(stream.nodeId);
      this.attachments.leave(stream.nodeId);
    }
    if (this.#streams.size === 0) this.#onEmpty?.();
  }

  /** Asks every node to go elsewhere. */
  sendAway(): void {
    for (const stream of this.#streams.values()) stream.goAway("draining", RETRY_AFTER_MS);
  }

  /** The same; returns when they have gone, or some seconds passed. */
  async drain(): Promise<void> {
    this.sendAway();
    if (this.#streams.size === 0) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, DRAIN_MS);
      this.#onEmpty = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  #wake(message: BusMessage): void {
    if (message.kind !== "commands" && message.kind !== "session" && message.kind !== "bundle") return;
    const stream = this.#streams.get(message.nodeId);
    if (stream === undefined || stream.orgId !== message.orgId) return;
    if (message.kind === "commands") stream.takeCommands();
    else if (message.kind === "bundle") stream.lookAgain();
    else stream.checkStanding();
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
  }
}
