import { setTimeout as wait } from "node:timers/promises";
import { Lifetime, linkSignals } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import type { Bus, BusListener, BusMessage } from "./bus.ts";
import { decodePayload, encodePayload } from "./bus-payload.ts";
import { Listeners } from "./listeners.ts";
import { type NotifyConnection, openNotifyConnection } from "./notify-connection.ts";

const CHECK_EVERY_MS = 5_000;
const FIRST_RETRY_MS = 100;
const LONGEST_RETRY_MS = 5_000;
/** Messages that wait for the connection; beyond it they are forgotten and everybody looks again. */
const MAX_WAITING = 4_096;
const MAX_BATCH = 256;

/**
 * The bus of replicas that share a PostgreSQL database: NOTIFY on one direct connection, ids alone. Listeners of this
 * replica hear at once, those of others by the database. When the connection breaks it is opened again, and everybody
 * looks again, here and there. Fails with `store.unreachable`, `store.not_direct`.
 */
export async function openPostgresBus(url: string, log: Log): Promise<Bus> {
  const bus = new PostgresBus(url, log);
  await bus.open();
  return bus;
}

class PostgresBus implements Bus {
  readonly #url: string;
  readonly #log: Log;
  readonly #life = new Lifetime();
  readonly #listeners = new Listeners();
  readonly #waiting = new Set<string>();
  #connection: NotifyConnection | undefined;
  #isSending = false;
  #hasLost = false;

  constructor(url: string, log: Log) {
    this.#url = url;
    this.#log = log;
  }

  async open(): Promise<void> {
    const first = await this.#connect();
    this.#life.run((signal) => this.#stayConnected(first, signal));
  }

  publish(message: BusMessage): void {
    this.#listeners.deliver(message);
    if (this.#waiting.size < MAX_WAITING) this.#waiting.add(encodePayload(message));
    else this.#hasLost = true;
    this.#sendSoon();
  }

  subscribe(listener: BusListener): Disposable {
    return this.#listeners.add(listener);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listeners.clear();
    await this.#life[Symbol.asyncDispose]();
  }

  #connect(): Promise<NotifyConnection> {
    return openNotifyConnection(this.#url, (text) => this.#hear(text));
  }

  #hear(text: string): void {
    const payload = decodePayload(text);
    if (payload?.kind === "gap") this.#listeners.lookAgain();
    else if (payload !== undefined) this.#listeners.deliver(payload);
  }

  async #stayConnected(first: NotifyConnection, signal: AbortSignal): Promise<void> {
    for (let next: NotifyConnection | undefined = first; next !== undefined; next = await this.#reconnect(signal)) {
      this.#connection = next;
      this.#sendSoon();
      await this.#watch(next, signal);
      this.#connection = undefined;
      await next[Symbol.asyncDispose]();
      if (signal.aborted) return;
      this.#hasLost = true;
      this.#log.warn("bus connection lost");
    }
  }

  /** Settles when the connection is of no use any more, or the signal aborts. */
  async #watch(connection: NotifyConnection, signal: AbortSignal): Promise<void> {
    using gone = abortedBy(connection.closed, signal);
    while (!gone.signal.aborted) {
      try {
        await wait(CHECK_EVERY_MS, undefined, { signal: gone.signal });
        await connection.check();
      } catch {
        // Closed, closing, or dead without having said so.
        return;
      }
    }
  }

  async #reconnect(signal: AbortSignal): Promise<NotifyConnection | undefined> {
    for (let delayMs = FIRST_RETRY_MS; !signal.aborted; delayMs = Math.min(delayMs * 2, LONGEST_RETRY_MS)) {
      try {
        const next = await this.#connect();
        this.#listeners.lookAgain();
        this.#log.info("bus connected again");
        return next;
      } catch (failure) {
        this.#log.debug("bus cannot connect", { error: failure });
        await wait(Math.random() * delayMs, undefined, { signal });
      }
    }
    return undefined;
  }

  #sendSoon(): void {
    if (!this.#isSending && this.#connection !== undefined) this.#life.run(() => this.#send());
  }

  async #send(): Promise<void> {
    this.#isSending = true;
    try {
      // What is published in the same turn goes in one query.
      await Promise.resolve();
      while (this.#connection !== undefined && (this.#waiting.size > 0 || this.#hasLost))
        await this.#sendBatch(this.#connection);
    } finally {
      this.#isSending = false;
    }
  }

  async #sendBatch(connection: NotifyConnection): Promise<void> {
    const batch = [...this.#waiting].slice(0, MAX_BATCH);
    const payloads = this.#hasLost ? [...batch, encodePayload({ kind: "gap" })] : batch;
    this.#hasLost = false;
    for (const payload of batch) this.#waiting.delete(payload);
    try {
      await connection.send(payloads);
    } catch (failure) {
      this.#hasLost = true;
      this.#log.debug("bus cannot send", { error: failure });
      if (this.#connection === connection) this.#connection = undefined;
      await connection[Symbol.asyncDispose]();
    }
  }
}

/** A signal that aborts when a connection has closed too. */
function abortedBy(closed: Promise<void>, signal: AbortSignal): Disposable & { readonly signal: AbortSignal } {
  const gone = new AbortController();
  void closed.then(() => gone.abort());
  return linkSignals(signal, gone.signal);
}
