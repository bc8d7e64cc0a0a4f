// npm run bench -- NAME [--short] [--json FILE]
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { benchGate } from "./gate/gate.ts";
import { holds, type Row } from "./row.ts";

const BENCHES: Readonly<Record<string, (options: { readonly isShort: boolean }) => Promise<Row[]>>> = {
  gate: benchGate,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { short: { type: "boolean", default: false }, json: { type: "string" } },
});
const name = positionals[0] ?? "";
const bench = BENCHES[name];
if (bench === undefined) {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join("|")} [--short] [--json FILE]`);
  process.exitCode = 2;
} else {
  const rows = await bench({ isShort: values.short });
  for (const row of rows) console.log(line(row));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result(name, rows), null, 2)}\n`);
}

function line(row: Row): string {
  const bound = row.atMost === undefined ? (row.atLeast ?? "") : `<= ${row.atMost}`;
  return `${holds(row) ? "  " : "! "}${row.case.padEnd(64)} ${String(row.value).padStart(10)} ${row.unit} ${bound}`;
}

function result(bench: string, rows: readonly Row[]): object {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  return { bench, commit, rows: rows.map((row) => ({ ...row, ok: holds(row) })) };
}
