import { readStandardInput } from "./read-standard-input.ts";
import { readTextFile } from "./read-text-file.ts";

const MAX_BYTES = 65_536;

/** A credential's value: from a file, from standard input, or asked for without echo. Never from an argument. */
export async function readValue(from: string | undefined, name: string): Promise<string> {
  if (from === "-" || (from === undefined && process.stdin.isTTY !== true))
    return readStandardInput(MAX_BYTES, "credentials.invalid_value");
  if (from !== undefined) return readTextFile(from, MAX_BYTES);
  const [{ password }, { ask }] = await Promise.all([import("@clack/prompts"), import("./ask.ts")]);
  // No mask: how long a value is tells something about it.
  const message = `Value of ${name} (not shown)`;
  return ask((signal) => password({ message, mask: "", signal }), "Nothing was stored.");
}
