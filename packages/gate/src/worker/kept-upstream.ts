import { Problem } from "@gatehouse/core";
import type { RequestContext } from "../pipeline/request-context.ts";
import { UpstreamConnection } from "../upstream/upstream-connection.ts";
import { isRepeatable } from "./exchange.ts";
import { fits, type OpenedUpstream } from "./idle-upstreams.ts";
import type { RunEntry } from "./run-table.ts";
import type { WorkerContext } from "./worker-context.ts";

/** Made once: a reason of its own has a stack trace taken for every connection that ends. */
const CLIENT_LEFT = new Problem("gate.upstream_unreachable", { detail: "The client left." });

/** The one upstream connection that a client connection keeps between requests. */
export class KeptUpstream implements Disposable {
  readonly #worker: WorkerContext;
  #held: OpenedUpstream | undefined;
  /** Of the connection that is being opened. */
  #dialing: AbortController | undefined;

  constructor(worker: WorkerContext) {
    this.#worker = worker;
  }

  /** The address to which the connection goes; `undefined` while there is none. */
  get address(): string | undefined {
    return this.#held?.connection.socket.remoteAddress;
  }

  /**
   * A connection that fits the request: the kept one, or one that another client of the run left. A kept one that does
   * not fit is left for others.
   */
  take(context: RequestContext): UpstreamConnection | undefined {
    if (this.#held !== undefined && fits(this.#held, context)) return this.#held.connection;
    this.#leave();
    // The destination may close it just now, and a client that opened its own connection does not count with that.
    this.#held = isRepeatable(context.head) ? this.#worker.idleUpstreams.take(context) : undefined;
    return this.#held?.connection;
  }

  /** Opens a connection for the request and keeps it. Fails as `UpstreamDialer.open` does. */
  async open({ run, host, port, isTls }: RequestContext, entry: RunEntry): Promise<UpstreamConnection> {
    const dialing = new AbortController();
    this.#dialing = dialing;
    const { signal } = dialing;
    const origin = { host, port, isTls, statedRanges: run.policy.addressRanges(host, port) };
    const socket = await this.#worker.dialer.open(origin, { runId: entry.runId, sessions: entry.tlsSessions, signal });
    this.#dialing = undefined;
    const connection = new UpstreamConnection(socket);
    if (signal.aborted) connection[Symbol.dispose]();
    this.#held = { connection, run, host, port, isTls };
    return connection;
  }

  /** Closes the connection, if there is one. */
  release(): void {
    this.#held?.connection[Symbol.dispose]();
    this.#held = undefined;
  }

  /** Leaves the connection to the run's other clients when nothing speaks against it; else closes it. */
  #leave(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    const { runs, idleUpstreams, clock } = this.#worker;
    const isServed = runs.get(held.run.snapshot.runId)?.current === held.run;
    if (isServed && held.connection.isIdle) idleUpstreams.give(held, clock.monotonicMs());
    else held.connection[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    this.#dialing?.abort(CLIENT_LEFT);
    this.#leave();
  }
}
