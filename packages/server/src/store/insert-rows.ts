import { CompiledQuery } from "kysely";
import type { RecordScope } from "./record-scope.ts";

type ColumnType = "text" | "integer" | "real" | "bytes";
type Value = string | number | Uint8Array | null;

/** Which columns are written: those with one value for all rows, and those with a value for each. */
export interface InsertShape {
  readonly table: string;
  readonly shared: Readonly<Record<string, ColumnType>>;
  readonly own: Readonly<Record<string, ColumnType>>;
  /** SQL behind the rows: what is done where one is there already. */
  readonly onConflict?: string;
}

export interface InsertedRows {
  readonly shared: readonly Value[];
  /** In the order of `own`. */
  readonly rows: readonly (readonly Value[])[];
}

/** Texts of statements stay few, so that they are prepared once: rows go in powers of two up to this many. */
const LARGEST_CHUNK = 256;
const POSTGRES_TYPES = { text: "text", integer: "bigint", real: "double precision", bytes: "bytea" } as const;

/**
 * Writes many rows with few statements. The query layer spends more time on ten thousand rows than the database does,
 * so these statements are spelled here. Table and column names are the program's own.
 */
export async function insertRows(scope: RecordScope, shape: InsertShape, inserted: InsertedRows): Promise<void> {
  if (inserted.rows.length === 0) return;
  if (scope.dialect.name === "postgres") await insertArrays(scope, shape, inserted);
  else await insertChunks(scope, shape, inserted);
}

/** One statement whatever the number of rows: a column is one array. */
async function insertArrays({ db }: RecordScope, shape: InsertShape, { shared, rows }: InsertedRows): Promise<void> {
  const own = Object.values(shape.own);
  const fixed = Object.values(shape.shared).map((type, at) => `$${at + 1}::${POSTGRES_TYPES[type]}`);
  const arrays = own.map((type, at) => `$${fixed.length + at + 1}::${POSTGRES_TYPES[type]}[]`);
  const rest = `${fixed.join(", ")}, * from unnest(${arrays.join(", ")}) ${shape.onConflict ?? ""}`;
  const text = `insert into ${shape.table} (${columnsOf(shape)}) select ${rest}`;
  const columns = own.map((_, at) => rows.map((row) => row[at] ?? null));
  await db.executeQuery(CompiledQuery.raw(text, [...shared, ...columns]));
}

async function insertChunks({ db }: RecordScope, shape: InsertShape, { shared, rows }: InsertedRows): Promise<void> {
  const width = Object.keys(shape.own).length;
  const fixed = shared.map((_, at) => `?${at + 1}`);
  for (let from = 0; from < rows.length; ) {
    const left = rows.length - from;
    const count = left >= LARGEST_CHUNK ? LARGEST_CHUNK : 2 ** Math.floor(Math.log2(left));
    const tuples = Array.from({ length: count }, (_, row) => {
      const own = Array.from({ length: width }, (_, at) => `?${shared.length + row * width + at + 1}`);
      return `(${[...fixed, ...own].join(",")})`;
    });
    const text = `insert into ${shape.table} (${columnsOf(shape)}) values ${tuples.join(",")} ${shape.onConflict ?? ""}`;
    await db.executeQuery(CompiledQuery.raw(text, [...shared, ...rows.slice(from, from + count).flat()]));
    from += count;
  }
}

function columnsOf({ shared, own }: InsertShape): string {
  return [...Object.keys(shared), ...Object.keys(own)].join(", ");
}
