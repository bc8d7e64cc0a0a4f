import { readFile } from "node:fs/promises";
import { Problem } from "@gatehouse/core";
import { systemReason } from "@gatehouse/kit";
import { readStandardInput } from "./read-standard-input.ts";

const MAX_BYTES = 65_536;

/** A credential's value: from a file, from standard input, or asked for without echo. Never from an argument. */
export async function readValue(from: string | undefined, name: string): Promise<string> {
  if (from === "-" || (from === undefined && process.stdin.isTTY !== true))
    return readStandardInput(MAX_BYTES, "credentials.invalid_value");
  if (from !== undefined) return readValueFile(from);
  const [{ password }, { ask }] = await Promise.all([import("@clack/prompts"), import("./ask.ts")]);
  // No mask: how long a value is tells something about it.
  const message = `Value of ${name} (not shown)`;
  return ask((signal) => password({ message, mask: "", signal }), "Nothing was stored.");
}

async function readValueFile(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch (cause) {
    throw new Problem("usage.invalid", { detail: `${path} cannot be read: ${systemReason(cause)}.`, cause });
  }
}
