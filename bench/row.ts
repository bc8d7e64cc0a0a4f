/** The bound that a figure should hold. */
export type Target = { readonly atMost: number } | { readonly atLeast: number };

/** One figure of a benchmark. `peers`: the same figure of others in the same run; `rounds`: what the median is of. */
export interface Row {
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly target?: Target;
  readonly peers?: Readonly<Record<string, number>>;
  readonly rounds?: Readonly<Record<string, readonly number[]>>;
}

/** Whether the figure holds its bound; figures without one always do. */
export function holds({ value, target }: Row): boolean {
  if (target === undefined) return true;
  return "atMost" in target ? value <= target.atMost : value >= target.atLeast;
}

/** `<= 2`, `>= 0.7`, or nothing. */
function targetText({ target }: Row): string {
  if (target === undefined) return "";
  return "atMost" in target ? `<= ${target.atMost}` : `>= ${target.atLeast}`;
}

/** The row as one line for people. One that misses its bound begins with `!`. */
export function rowLine(row: Row): string {
  const peers = Object.entries(row.peers ?? {}).map(([name, value]) => `${name} ${readable(value)}`);
  const figure = `${readable(row.value).padStart(10)} ${row.unit}`.padEnd(22);
  return `${holds(row) ? " " : "!"} ${row.case.padEnd(58)} ${figure} ${targetText(row).padEnd(9)} ${peers.join(" · ")}`.trimEnd();
}

/** A row in a file. */
export interface WrittenRow {
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  readonly target: string | null;
  readonly ok: boolean;
  readonly peers: Readonly<Record<string, number>>;
  readonly rounds: NonNullable<Row["rounds"]>;
}

/** The row as it is written to a file. */
export function rowJson(row: Row): WrittenRow {
  return {
    case: row.case,
    value: rounded(row.value),
    unit: row.unit,
    target: targetText(row) || null,
    ok: holds(row),
    peers: Object.fromEntries(Object.entries(row.peers ?? {}).map(([name, value]) => [name, rounded(value)])),
    rounds: row.rounds ?? {},
  };
}

/** Rows of a file as the table that docs/guide/performance.md shows. */
export function markdownTable(rows: readonly WrittenRow[]): string {
  const lines = rows.map(({ case: name, value, unit, target, ok, peers }) => {
    const verdict = target === null ? "" : ok ? "held" : "**missed**";
    const others = Object.entries(peers).map(([peer, figure]) => `${peer} ${readable(figure)}`);
    const cells = [name, `${readable(value)} ${unit}`, target ?? "", verdict, others.join(" · ")];
    return `| ${cells.join(" | ")} |`.replace(/ {2,}/g, " ");
  });
  return ["| case | gate | target | | peers |", "|---|---|---|---|---|", ...lines].join("\n");
}

function rounded(value: number): number {
  return Number(value.toPrecision(4));
}

function readable(value: number): string {
  return value >= 1_000 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(3)));
}
