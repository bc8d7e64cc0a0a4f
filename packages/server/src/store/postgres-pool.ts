import { Problem } from "@gatehouse/core";
import type { PostgresPool, PostgresPoolClient } from "kysely";
import type { PoolClient } from "pg";

const MAX_CONNECTIONS = 16;
const CONNECT_TIMEOUT_MS = 10_000;
const INT8 = 20;

/** How long the database may take for a statement, how long its answer is waited for, and how long it waits itself. */
export interface StatementTimes {
  readonly statementMs: number;
  /** Longer than the former: what takes too long ends there first, with an answer. */
  readonly answerMs: number;
  /**
   * How long a transaction may stand still between two statements. Its locks keep every other server from an
   * organisation's rows: shorter than `statementMs`, so that these outlast a server that is stopped in the midst of one.
   */
  readonly idleMs: number;
}

/**
 * Connections to PostgreSQL as the query layer wants them. Integers come as numbers that are safe. Whatever is no
 * answer of the database fails with `store.unreachable`; the next call tries anew. A connection on which an answer did
 * not come in time is given up with all that are as old: what is lost between two hosts takes them all.
 */
export async function openPostgresPool(url: string, times: StatementTimes): Promise<PostgresPool> {
  const { default: pg } = await import("pg");
  const types = new pg.TypeOverrides();
  types.setTypeParser(INT8, parseInteger);
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: times.statementMs,
    idle_in_transaction_session_timeout: times.idleMs,
    query_timeout: times.answerMs,
    keepAlive: true,
    types,
  });
  // A connection that breaks, idle or between two queries, is replaced; the query that finds out fails.
  pool.on("error", () => undefined);
  const generations = new WeakMap<object, number>();
  let generation = 0;
  pool.on("connect", (client) => {
    client.on("error", () => undefined);
    generations.set(client, generation);
  });
  const connect = async (): Promise<PostgresPoolClient> => {
    for (;;) {
      const client = await pool.connect().catch(rethrowClearer);
      const own = generations.get(client) ?? 0;
      const giveUpAsOld = () => {
        generation = Math.max(generation, own + 1);
      };
      if (own >= generation) return nameFailures(client, giveUpAsOld);
      client.release(true);
    }
  };
  return { options: pool.options, end: () => pool.end(), connect };
}

/** `onLost` is told of a failure that is no answer; such a connection asks nothing more. */
function nameFailures(client: PoolClient, onLost: () => void): PostgresPoolClient {
  let isLost = false;
  const query = async (sql: string, parameters: readonly unknown[]) => {
    if (isLost) throw new Problem("store.unreachable");
    try {
      return await client.query(sql, [...parameters]);
    } catch (failure) {
      if (isAnswer(failure)) throw failure;
      isLost = true;
      onLost();
      throw new Problem("store.unreachable", { cause: failure });
    }
  };
  return {
    release: (destroy) => client.release(destroy || isLost),
    query: query as unknown as PostgresPoolClient["query"],
  };
}

/**
 * SQLSTATEs that say that the connection or the server is going: connection exception, operator intervention, and a
 * transaction that stood still for too long.
 */
const GOING = /^(08|57P|25P03)/;

function isAnswer(failure: unknown): boolean {
  if (!(failure instanceof Error && "severity" in failure)) return false;
  return !GOING.test("code" in failure ? String(failure.code) : "");
}

function rethrowClearer(failure: unknown): never {
  if (isAnswer(failure)) throw failure;
  throw new Problem("store.unreachable", { cause: failure });
}

function parseInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError("the database holds an integer that is not safe");
  return value;
}
