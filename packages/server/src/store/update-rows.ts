import { CompiledQuery } from "kysely";
import type { RecordScope } from "./record-scope.ts";
import { type Columns, chunksOf, columnsOfRows, type ManyRows, tuplesOf, typedPlaces } from "./row-values.ts";

/** Which columns are changed. */
export interface UpdateShape {
  readonly table: string;
  readonly shared: Columns;
  /** The first one is `id`: which row it is. */
  readonly own: Columns & { readonly id: "text" };
}

/**
 * Changes many of the organisation's rows with few statements, as `insertRows` writes them. Table and column names are
 * the program's own.
 */
export async function updateRows(scope: RecordScope, shape: UpdateShape, changed: ManyRows): Promise<void> {
  if (changed.rows.length === 0) return;
  if (scope.dialect.name === "postgres") await updateArrays(scope, shape, changed);
  else await updateChunks(scope, shape, changed);
}

async function updateArrays({ db, orgId }: RecordScope, shape: UpdateShape, { shared, rows }: ManyRows): Promise<void> {
  const fixed = typedPlaces(shape.shared, 1);
  const arrays = typedPlaces(shape.own, 1 + fixed.length).map((place) => `${place}[]`);
  const source = `unnest(${arrays.join(", ")}) as changed(${Object.keys(shape.own).join(", ")})`;
  const text = `${setting(shape, fixed)} from ${source} ${ofOrg(shape, "$1")}`;
  await db.executeQuery(CompiledQuery.raw(text, [orgId, ...shared, ...columnsOfRows(shape.own, rows)]));
}

async function updateChunks({ db, orgId }: RecordScope, shape: UpdateShape, { shared, rows }: ManyRows): Promise<void> {
  const fixed = shared.map((_, at) => `?${at + 2}`);
  for (const chunk of chunksOf(rows)) {
    const tuples = tuplesOf(chunk, 1 + shared.length).map((own) => `(${own.join(",")})`);
    const source = `with changed(${Object.keys(shape.own).join(", ")}) as (values ${tuples.join(",")})`;
    const text = `${source} ${setting(shape, fixed)} from changed ${ofOrg(shape, "?1")}`;
    await db.executeQuery(CompiledQuery.raw(text, [orgId, ...shared, ...chunk.flat()]));
  }
}

function setting({ table, shared, own }: UpdateShape, fixed: readonly string[]): string {
  const [, ...columns] = Object.keys(own);
  const values = columns.map((column) => `${column} = changed.${column}`);
  return `update ${table} set ${[...Object.keys(shared).map((column, at) => `${column} = ${fixed[at]}`), ...values].join(", ")}`;
}

function ofOrg({ table }: UpdateShape, orgPlace: string): string {
  return `where ${table}.id = changed.id and ${table}.org_id = ${orgPlace}`;
}
