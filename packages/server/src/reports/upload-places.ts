import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import { RETRY_UPLOAD_MS } from "./upload-limits.ts";

/** Streams of one kind that are read at once: no node has more of them than it needs. */
export class UploadPlaces {
  readonly #ofNode: number;
  readonly #taken = new Map<string, number>();

  constructor(ofNode: number) {
    this.#ofNode = ofNode;
  }

  /** Takes a place until it is disposed of. Fails with `server.busy`. */
  take(nodeId: string): Disposable {
    const own = this.#taken.get(nodeId) ?? 0;
    if (own >= this.#ofNode) throw new SlowDownProblem("server.busy", RETRY_UPLOAD_MS);
    this.#taken.set(nodeId, own + 1);
    return { [Symbol.dispose]: () => this.#free(nodeId) };
  }

  #free(nodeId: string): void {
    const left = (this.#taken.get(nodeId) ?? 1) - 1;
    if (left === 0) this.#taken.delete(nodeId);
    else this.#taken.set(nodeId, left);
  }
}
