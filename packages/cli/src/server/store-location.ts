import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Problem } from "@gatehouse/core";
import { systemReason } from "@gatehouse/kit";
import type { StoreLocation } from "@gatehouse/server";
import { type Invocation, textOption } from "../invocation.ts";

/** Where the rows are: the embedded database, or the PostgreSQL whose URL stands in a file. */
export async function storeLocation(invocation: Invocation, directory: string): Promise<StoreLocation> {
  const file = textOption(invocation, "databaseUrlFile");
  if (file === undefined) return { kind: "sqlite", path: join(directory, "server.db") };
  const url = await readUrl(file);
  // What else the file holds may be a password in the wrong place: it is not repeated.
  if (!/^postgres(ql)?:\/\//.test(url)) {
    throw new Problem("usage.invalid", { detail: `${file} holds no URL that begins with postgres://.` });
  }
  return { kind: "postgres", url };
}

async function readUrl(file: string): Promise<string> {
  try {
    return (await readFile(file, "utf8")).trim();
  } catch (cause) {
    throw new Problem("usage.invalid", { detail: `${file} cannot be read: ${systemReason(cause)}.`, cause });
  }
}
