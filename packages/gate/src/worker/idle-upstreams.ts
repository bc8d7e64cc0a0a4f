import type { RequestContext } from "../pipeline/request-context.ts";
import type { UpstreamConnection } from "../upstream/upstream-connection.ts";
import type { CompiledRun } from "./compile-run.ts";

/** An upstream connection that nobody used for this long is closed, though its tunnel may stay. */
export const UPSTREAM_IDLE_MS = 10_000;

/** An upstream connection, and for what it was opened. */
export interface OpenedUpstream {
  readonly connection: UpstreamConnection;
  /** The form of the run under which it was opened: with new rules or credentials it is opened anew. */
  readonly run: CompiledRun;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** Whether the connection is one for this request. */
export function fits({ connection, ...opened }: OpenedUpstream, { run, host, port, isTls }: RequestContext): boolean {
  return (
    connection.isOpen && opened.run === run && opened.host === host && opened.port === port && opened.isTls === isTls
  );
}

interface Idle {
  readonly opened: OpenedUpstream;
  readonly sinceMs: number;
}

/** Of all runs together; beyond it the oldest is closed. */
const MAX_IDLE = 1_024;

/**
 * Upstream connections that a client left in order, for the next client of the same run, so that a tunnel for each
 * request does not pay for two handshakes. Never for another run, nor for another form of it.
 */
export class IdleUpstreams {
  /** Oldest first. */
  #idle: Idle[] = [];

  /** Takes over a connection on which nothing is under way. */
  give(opened: OpenedUpstream, nowMs: number): void {
    this.#idle.push({ opened, sinceMs: nowMs });
    if (this.#idle.length > MAX_IDLE) this.#idle.shift()?.opened.connection[Symbol.dispose]();
  }

  /** Hands out the connection for this request that was used last. */
  take(context: RequestContext): OpenedUpstream | undefined {
    const index = this.#idle.findLastIndex(({ opened }) => fits(opened, context));
    return index < 0 ? undefined : this.#idle.splice(index, 1)[0]?.opened;
  }

  /** Closes what was opened for a form of a run that is not served any more. */
  forget(run: CompiledRun): void {
    this.#keep(({ opened }) => opened.run !== run);
  }

  /** Closes what nobody asked for in a while. */
  sweep(nowMs: number): void {
    this.#keep(({ opened, sinceMs }) => opened.connection.isOpen && nowMs - sinceMs <= UPSTREAM_IDLE_MS);
  }

  #keep(isKept: (one: Idle) => boolean): void {
    if (this.#idle.length === 0) return;
    const kept = this.#idle.filter(isKept);
    if (kept.length === this.#idle.length) return;
    for (const one of this.#idle) if (!isKept(one)) one.opened.connection[Symbol.dispose]();
    this.#idle = kept;
  }
}
