// npm run bench -- NAME [--short] [--json FILE]; npm run bench -- table FILE prints what was written as Markdown.
// With --compare only what a change is judged by is measured, and the exit code says whether it holds.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { holds, markdownTable, type Row, rowJson, rowLine, type WrittenRow } from "./row.ts";

type Bench = (options: { readonly isShort: boolean; readonly isCompared: boolean }) => Promise<readonly Row[]>;

const BENCHES: Readonly<Record<string, () => Promise<Bench>>> = {
  gate: async () => (await import("./gate/gate.ts")).benchGate,
  policy: async () => (await import("./policy/decide.ts")).benchPolicy,
  audit: async () => (await import("./audit/audit.ts")).benchAudit,
  start: async () => (await import("./start/start.ts")).benchStart,
  ingest: async () => (await import("./ingest/ingest.ts")).benchIngest,
  framing: async () => (await import("./framing/framing.ts")).benchFraming,
  fleet: async () => (await import("./fleet/fleet.ts")).benchFleet,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    short: { type: "boolean", default: false },
    compare: { type: "boolean", default: false },
    json: { type: "string" },
  },
});
const [name = "", file] = positionals;
const load = BENCHES[name];
if (load !== undefined) await measure(await load());
else if (name === "table" && file !== undefined) printTable(file);
else {
  console.error(`usage: npm run bench -- ${Object.keys(BENCHES).join("|")} [--short] [--json FILE], or table FILE`);
  process.exitCode = 2;
}

async function measure(bench: Bench): Promise<void> {
  const rows = await bench({ isShort: values.short, isCompared: values.compare });
  for (const row of rows) console.log(rowLine(row));
  if (values.compare && !rows.every(holds)) process.exitCode = 1;
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(result(name, rows), null, 2)}\n`);
}

function result(bench: string, rows: readonly Row[]): object {
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).trim();
  return { bench, commit, rows: rows.map(rowJson) };
}

function printTable(path: string): void {
  const { rows } = JSON.parse(readFileSync(path, "utf8")) as { readonly rows: readonly WrittenRow[] };
  console.log(markdownTable(rows));
}
