import { Problem } from "@gatehouse/core";
import type { Client, ClientConfig, Notification } from "pg";

const CHANNEL = "gatehouse";
const CONNECT_TIMEOUT_MS = 10_000;
const ROUND_TRIP_MS = 5_000;
const ROUND_TRIP = "round-trip";

/** One direct connection on which notifications come and go. */
export interface NotifyConnection extends AsyncDisposable {
  /** Settles when the connection is gone. */
  readonly closed: Promise<void>;
  send(payloads: readonly string[]): Promise<void>;
  /**
   * Fails when a notification to oneself does not come back: the connection is dead, or something between gives each
   * query to another connection.
   */
  check(): Promise<void>;
}

/** Listens; `onPayload` hears what others sent, never what this connection did. Fails with `store.unreachable`. */
export async function openNotifyConnection(url: string, onPayload: (text: string) => void): Promise<NotifyConnection> {
  const { default: pg } = await import("pg");
  const options: ClientConfig = {
    connectionString: url,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: ROUND_TRIP_MS,
    keepAlive: true,
    application_name: "gatehouse bus",
  };
  const connection = new PostgresConnection(new pg.Client(options), onPayload);
  try {
    await connection.open();
    return connection;
  } catch (cause) {
    await connection[Symbol.asyncDispose]();
    throw cause instanceof Problem ? cause : new Problem("store.unreachable", { cause });
  }
}

class PostgresConnection implements NotifyConnection {
  readonly closed: Promise<void>;
  readonly #client: Client;
  readonly #onPayload: (text: string) => void;
  /** What other connections' notifications differ by. */
  #ownProcessId = 0;
  #onReturned: (() => void) | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(client: Client, onPayload: (text: string) => void) {
    this.#client = client;
    this.#onPayload = onPayload;
    this.closed = new Promise((resolve) => void client.once("end", resolve));
    // What breaks the connection ends it: `closed` tells.
    client.on("error", () => undefined);
    client.on("notification", (notification) => this.#hear(notification));
  }

  async open(): Promise<void> {
    await this.#client.connect();
    const { rows } = await this.#client.query<{ id: number }>("select pg_backend_pid() as id");
    this.#ownProcessId = rows[0]?.id ?? 0;
    await this.#client.query(`listen ${CHANNEL}`);
    await this.check();
  }

  async send(payloads: readonly string[]): Promise<void> {
    const sql = "select pg_notify($1, payload) from unnest($2::text[]) as payload";
    // One query at a time: the protocol's connection takes no second one.
    const sent = this.#turn.then(() => this.#client.query(sql, [CHANNEL, payloads]));
    this.#turn = sent.catch(() => undefined);
    await sent;
  }

  async check(): Promise<void> {
    const returned = Promise.withResolvers<void>();
    this.#onReturned = returned.resolve;
    const timer = setTimeout(() => returned.reject(new Problem("store.not_direct")), ROUND_TRIP_MS);
    try {
      await Promise.all([this.send([ROUND_TRIP]), returned.promise]);
    } finally {
      clearTimeout(timer);
      this.#onReturned = undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // A peer that is gone answers no goodbye: `end` gives up with the stream.
    await Promise.race([this.#client.end(), this.closed]).catch(() => undefined);
  }

  #hear({ processId, payload = "" }: Notification): void {
    if (processId !== this.#ownProcessId) this.#onPayload(payload);
    else if (payload === ROUND_TRIP) this.#onReturned?.();
  }
}
