import { canonicalJson, type JsonValue, Problem } from "@gatehouse/core";
import { note, shown } from "../terminal/print.ts";
import { lintFile } from "./lint-file.ts";
import { readPolicyFile } from "./policy-file.ts";

const MAX_NAMED = 5;

/**
 * Reads a policy file as a server takes it: RFC 8785 JSON. Whatever else there is to say against it is said on standard
 * error. Fails with `policy.invalid`, naming line and column of what is wrong.
 */
export async function readFleetPolicy(path: string): Promise<Uint8Array> {
  const file = await readPolicyFile(path);
  const findings = lintFile(file).map(({ path: at, level, code, message }) => {
    const { line, column } = file.place(at);
    return { level, code, text: `${file.path}:${line}:${column}: ${shown(message)}` };
  });
  const wrong = findings.filter(({ level }) => level === "error");
  if (wrong.length > 0) {
    throw new Problem("policy.invalid", {
      detail: wrong
        .slice(0, MAX_NAMED)
        .map(({ text }) => text)
        .join("\n"),
    });
  }
  for (const { level, code, text } of findings) {
    if (level === "warning" || code === "cleartext") note(`${text} (${level})`);
  }
  return encode(file.value, file.path);
}

function encode(value: unknown, path: string): Uint8Array {
  try {
    return new TextEncoder().encode(canonicalJson(value as JsonValue));
  } catch (cause) {
    throw new Problem("policy.invalid", { detail: `${path} holds text or numbers that JSON cannot keep.`, cause });
  }
}
