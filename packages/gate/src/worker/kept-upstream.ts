import { Problem } from "@gatehouse/core";
import type { RequestContext } from "../pipeline/request-context.ts";
import type { UpstreamDialer } from "../upstream/open-upstream.ts";
import { UpstreamConnection } from "../upstream/upstream-connection.ts";
import type { CompiledRun } from "./compile-run.ts";
import type { RunEntry } from "./run-table.ts";

interface Held {
  readonly connection: UpstreamConnection;
  /** The form of the run under which it was opened: with new rules or credentials it is opened anew. */
  readonly run: CompiledRun;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** Made once: a reason of its own has a stack trace taken for every connection that ends. */
const CLIENT_LEFT = new Problem("gate.upstream_unreachable", { detail: "The client left." });

/** The one upstream connection that a client connection keeps between requests. */
export class KeptUpstream implements Disposable {
  readonly #dialer: UpstreamDialer;
  #held: Held | undefined;
  /** Of the connection that is being opened. */
  #dialing: AbortController | undefined;

  constructor(dialer: UpstreamDialer) {
    this.#dialer = dialer;
  }

  /** The kept connection when it fits the request; one that does not is closed. */
  take({ run, host, port, isTls }: RequestContext): UpstreamConnection | undefined {
    const held = this.#held;
    const fits =
      held?.connection.isOpen && held.run === run && held.host === host && held.port === port && held.isTls === isTls;
    if (fits) return held.connection;
    this.release();
    return undefined;
  }

  /** Opens a connection for the request and keeps it. Fails as `UpstreamDialer.open` does. */
  async open({ run, host, port, isTls }: RequestContext, entry: RunEntry): Promise<UpstreamConnection> {
    const dialing = new AbortController();
    this.#dialing = dialing;
    const { signal } = dialing;
    const origin = { host, port, isTls, statedRanges: run.policy.addressRanges(host, port) };
    const socket = await this.#dialer.open(origin, { sessions: entry.tlsSessions, signal });
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

  [Symbol.dispose](): void {
    this.#dialing?.abort(CLIENT_LEFT);
    this.release();
  }
}
