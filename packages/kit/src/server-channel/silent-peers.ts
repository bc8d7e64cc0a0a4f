import { constants, type Http2Session } from "node:http2";

/** How soon a peer is found out that is gone without a word. */
export interface SilenceTimes {
  /** How often all connections are looked at. */
  readonly everyMs: number;
  /** Looks without a byte either way after which a sign of life is given and asked for. */
  readonly pingAfter: number;
  /** Looks without a byte from the peer after which it is gone. */
  readonly cutAfter: number;
}

const EVERY_MS = 4_000;
/** 24 to 28 seconds. */
const CUT_AFTER = 6;

/**
 * Who opened a connection speaks first, after 12 to 16 seconds; who accepted it, later: then one ping passes between two
 * heartbeats, whichever side is asked, and a server of thousands of nodes makes none of its own.
 */
export const SILENCE = {
  ofOpener: { everyMs: EVERY_MS, pingAfter: 3, cutAfter: CUT_AFTER },
  ofAcceptor: { everyMs: EVERY_MS, pingAfter: 4, cutAfter: CUT_AFTER },
} as const satisfies Readonly<Record<string, SilenceTimes>>;

interface Traffic {
  readonly session: Http2Session;
  heard: number;
  said: number;
  looksUnheard: number;
  looksUnsaid: number;
}

/**
 * Cuts HTTP/2 connections whose peers vanished, so that whoever waits on a stream hears of it. What peers say to one
 * another anyway counts as a sign of life: a ping is sent only where nothing else is.
 */
export class SilentPeers implements Disposable {
  readonly #times: SilenceTimes;
  readonly #all = new Set<Traffic>();
  readonly #timer: NodeJS.Timeout;

  constructor(times: SilenceTimes) {
    this.#times = times;
    this.#timer = setInterval(() => {
      for (const one of this.#all) if (!one.session.destroyed) this.#lookAt(one);
    }, times.everyMs);
  }

  /** Watches a connection until it is closed. */
  watch(session: Http2Session): void {
    const traffic = { session, heard: 0, said: 0, looksUnheard: 0, looksUnsaid: 0 };
    this.#all.add(traffic);
    session.on("close", () => this.#all.delete(traffic));
  }

  #lookAt(traffic: Traffic): void {
    const { bytesRead, bytesWritten } = traffic.session.socket;
    traffic.looksUnheard = bytesRead === traffic.heard ? traffic.looksUnheard + 1 : 0;
    traffic.looksUnsaid = bytesWritten === traffic.said ? traffic.looksUnsaid + 1 : 0;
    traffic.heard = bytesRead;
    traffic.said = bytesWritten;
    const { pingAfter, cutAfter } = this.#times;
    if (traffic.looksUnheard >= cutAfter) traffic.session.destroy(undefined, constants.NGHTTP2_CANCEL);
    else if (traffic.looksUnheard === pingAfter || traffic.looksUnsaid === pingAfter)
      traffic.session.ping(() => undefined);
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}
