export type ColumnType = "text" | "integer" | "real" | "bytes";
export type Columns = Readonly<Record<string, ColumnType>>;
/** In the order of its columns. */
export type RowValues = readonly (string | number | Uint8Array | null)[];

/** Values of rows that are written together: those with one value for all rows, and those with a value for each. */
export interface ManyRows {
  readonly shared: RowValues;
  readonly rows: readonly RowValues[];
}

/** Texts of statements stay few, so that they are prepared once: rows go in powers of two up to this many. */
const LARGEST_CHUNK = 256;
const POSTGRES_TYPES = { text: "text", integer: "bigint", real: "double precision", bytes: "bytea" } as const;

/** Rows as SQLite takes them, in lists of values: some at a time. */
export function* chunksOf(rows: readonly RowValues[]): Generator<readonly RowValues[]> {
  for (let from = 0; from < rows.length; ) {
    const left = rows.length - from;
    const count = left >= LARGEST_CHUNK ? LARGEST_CHUNK : 2 ** Math.floor(Math.log2(left));
    yield rows.slice(from, from + count);
    from += count;
  }
}

/** Placeholders of SQLite behind `before` others, a tuple for each row of a chunk. */
export function tuplesOf(chunk: readonly RowValues[], before: number): readonly (readonly string[])[] {
  return chunk.map((row, index) => row.map((_, at) => `?${before + index * row.length + at + 1}`));
}

/** Rows as PostgreSQL takes them, however many they are: a column is one array. */
export function columnsOfRows(own: Columns, rows: readonly RowValues[]): readonly RowValues[] {
  return Object.keys(own).map((_, at) => rows.map((row) => row[at] ?? null));
}

/** Placeholders of PostgreSQL behind `before` others, each with its type. */
export function typedPlaces(columns: Columns, before: number): readonly string[] {
  return Object.values(columns).map((type, at) => `$${before + at + 1}::${POSTGRES_TYPES[type]}`);
}
