import { CompiledQuery } from "kysely";
import type { RecordScope } from "./record-scope.ts";
import { type Columns, chunksOf, columnsOfRows, type ManyRows, tuplesOf, typedPlaces } from "./row-values.ts";

/** Which columns are written. */
export interface InsertShape {
  readonly table: string;
  readonly shared: Columns;
  readonly own: Columns;
  /** SQL behind the rows: what is done where one is there already. */
  readonly onConflict?: string;
}

/**
 * Writes many rows with few statements. The query layer spends more time on ten thousand rows than the database does,
 * so these statements are spelled here. Table and column names are the program's own.
 */
export async function insertRows(scope: RecordScope, shape: InsertShape, inserted: ManyRows): Promise<void> {
  if (inserted.rows.length === 0) return;
  if (scope.dialect.name === "postgres") await insertArrays(scope, shape, inserted);
  else await insertChunks(scope, shape, inserted);
}

async function insertArrays({ db }: RecordScope, shape: InsertShape, { shared, rows }: ManyRows): Promise<void> {
  const fixed = typedPlaces(shape.shared, 0);
  const arrays = typedPlaces(shape.own, fixed.length).map((place) => `${place}[]`);
  const rest = `${fixed.join(", ")}, * from unnest(${arrays.join(", ")}) ${shape.onConflict ?? ""}`;
  const text = `insert into ${shape.table} (${columnsOf(shape)}) select ${rest}`;
  await db.executeQuery(CompiledQuery.raw(text, [...shared, ...columnsOfRows(shape.own, rows)]));
}

async function insertChunks({ db }: RecordScope, shape: InsertShape, { shared, rows }: ManyRows): Promise<void> {
  const fixed = shared.map((_, at) => `?${at + 1}`);
  for (const chunk of chunksOf(rows)) {
    const tuples = tuplesOf(chunk, shared.length).map((own) => `(${[...fixed, ...own].join(",")})`);
    const text = `insert into ${shape.table} (${columnsOf(shape)}) values ${tuples.join(",")} ${shape.onConflict ?? ""}`;
    await db.executeQuery(CompiledQuery.raw(text, [...shared, ...chunk.flat()]));
  }
}

function columnsOf({ shared, own }: InsertShape): string {
  return [...Object.keys(shared), ...Object.keys(own)].join(", ");
}
