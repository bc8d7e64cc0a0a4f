import { Problem } from "@gatehouse/core";
import type { PostgresPool, PostgresPoolClient } from "kysely";
import type { PoolClient } from "pg";

const MAX_CONNECTIONS = 16;
const CONNECT_TIMEOUT_MS = 10_000;
const STATEMENT_TIMEOUT_MS = 30_000;
const INT8 = 20;

/**
 * Connections to PostgreSQL as the query layer wants them. Integers come as numbers that are safe. Whatever is no
 * answer of the database fails with `store.unreachable`; the next call tries anew.
 */
export async function openPostgresPool(url: string): Promise<PostgresPool> {
  const { default: pg } = await import("pg");
  const types = new pg.TypeOverrides();
  types.setTypeParser(INT8, parseInteger);
  const pool = new pg.Pool({
    connectionString: url,
    max: MAX_CONNECTIONS,
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    statement_timeout: STATEMENT_TIMEOUT_MS,
    keepAlive: true,
    types,
  });
  // A connection that breaks, idle or between two queries, is replaced; the query that finds out fails.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => void client.on("error", () => undefined));
  return {
    options: pool.options,
    end: () => pool.end(),
    connect: async () => nameFailures(await pool.connect().catch(rethrowClearer)),
  };
}

function nameFailures(client: PoolClient): PostgresPoolClient {
  const query = (sql: string, parameters: readonly unknown[]) =>
    client.query(sql, [...parameters]).catch(rethrowClearer);
  return { release: (destroy) => client.release(destroy), query: query as unknown as PostgresPoolClient["query"] };
}

/** Classes of SQLSTATE that say that the connection or the server is going: connection exception, operator intervention. */
const GOING = /^(08|57P)/;

function rethrowClearer(failure: unknown): never {
  const isAnswer = failure instanceof Error && "severity" in failure;
  const state = isAnswer && "code" in failure ? String(failure.code) : "";
  if (isAnswer && !GOING.test(state)) throw failure;
  throw new Problem("store.unreachable", { cause: failure });
}

function parseInteger(text: string): number {
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError("the database holds an integer that is not safe");
  return value;
}
