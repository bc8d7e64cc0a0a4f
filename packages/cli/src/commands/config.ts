import { describeConfig } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { printJson, printTable } from "../terminal/print.ts";

/** Prints each setting, its value and where that came from. */
export async function showConfig(invocation: Invocation): Promise<number> {
  const rows = describeConfig(invocation.config);
  if (isSet(invocation, "json")) printJson(rows);
  else
    printTable(
      ["SETTING", "FROM", "VALUE"],
      rows.map(({ key, source, value }) => [key, source, render(value)]),
    );
  return 0;
}

function render(value: unknown): string {
  if (value === undefined) return "-";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}
