import type { ClientHttp2Session } from "node:http2";
import type { Socket } from "node:net";

export interface KeepAliveTimes {
  readonly everyMs: number;
  /** How long an answer may take. */
  readonly withinMs: number;
}

/**
 * Pings a connection until it ends, and cuts it when no answer comes: whoever waits on a stream hears of a peer that is
 * gone. The library's own pings go on after a connection that was ended with a stream open, and throw then.
 */
export function keepAlive(session: ClientHttp2Session, socket: Socket, { everyMs, withinMs }: KeepAliveTimes): void {
  let late: NodeJS.Timeout | undefined;
  const timer = setInterval(() => {
    if (session.destroyed) return;
    late ??= setTimeout(() => socket.destroy(), withinMs);
    session.ping((failure) => {
      if (failure !== null) return;
      clearTimeout(late);
      late = undefined;
    });
  }, everyMs);
  session.once("close", () => {
    clearInterval(timer);
    clearTimeout(late);
  });
}
