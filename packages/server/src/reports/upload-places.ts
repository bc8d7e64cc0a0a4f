import { SlowDownProblem } from "../limits/slow-down-problem.ts";
import { RETRY_UPLOAD_MS, type UploadBounds } from "./upload-limits.ts";

/** Whose stream it is. */
interface Uploader {
  readonly orgId: string;
  readonly nodeId: string;
}

/** Streams of one kind that are read at once: no node, and no organisation, has all places for itself. */
export class UploadPlaces {
  readonly #bounds: UploadBounds;
  readonly #taken = new Set<Uploader>();

  constructor(bounds: UploadBounds) {
    this.#bounds = bounds;
  }

  /** Takes a place until it is disposed of. Fails with `server.busy`. */
  take({ orgId, nodeId }: Uploader): Disposable {
    const { ofNode, ofOrg, inAll } = this.#bounds;
    const taken = [...this.#taken];
    const near = taken.filter((one) => one.orgId === orgId);
    const own = near.filter((one) => one.nodeId === nodeId);
    if (own.length >= ofNode || near.length >= ofOrg || taken.length >= inAll) {
      throw new SlowDownProblem("server.busy", RETRY_UPLOAD_MS);
    }
    const place = { orgId, nodeId };
    this.#taken.add(place);
    return { [Symbol.dispose]: () => void this.#taken.delete(place) };
  }
}
