import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import type { StoreLocation } from "@gatehouse/server";
import { type Invocation, textOption } from "../invocation.ts";

/** Where the rows are: the embedded database, or the PostgreSQL whose URL stands in a file. */
export async function storeLocation(invocation: Invocation, directory: string): Promise<StoreLocation> {
  const file = textOption(invocation, "databaseUrlFile");
  if (file === undefined) return { kind: "sqlite", path: join(directory, "server.db") };
  try {
    return { kind: "postgres", url: (await readFile(file, "utf8")).trim() };
  } catch (cause) {
    throw new Problem("usage.invalid", { detail: `${file} cannot be read.`, cause });
  }
}
