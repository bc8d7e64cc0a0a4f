import { readValue } from "./read-value.ts";

/** A one-time code: from a file, from standard input, or asked for without echo. Never from an argument. */
export async function readCode(from: string | undefined, what: string): Promise<string> {
  return (await readValue(from, what)).trim();
}
