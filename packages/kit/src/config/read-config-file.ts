import { readFileSync } from "node:fs";
import { Problem } from "@gatehouse/core";
import { parseDocument } from "yaml";
import { errorCode } from "../files/error-code.ts";

/** A file of settings is small; anything larger is something else. */
const MAX_FILE_BYTES = 1_048_576;

/**
 * Reads a YAML file of nested maps as `section.key` → value; a map that is itself a value (`mapKeys`) stays whole.
 * `undefined` when there is no file. Fails with `config.invalid`, naming file and line.
 */
export function readConfigFile(path: string, mapKeys: readonly string[]): ReadonlyMap<string, unknown> | undefined {
  const text = readText(path);
  if (text === undefined) return undefined;
  const document = parseDocument(text, { prettyErrors: true });
  const [error] = document.errors;
  if (error !== undefined) throw invalid(path, firstLine(error.message), error);
  const root: unknown = toValue(path, () => document.toJS({ maxAliasCount: 0 }));
  if (root === null || root === undefined) return new Map();
  if (!isMap(root)) throw invalid(path, "the file must hold a map of sections");
  const settings = new Map<string, unknown>();
  for (const [section, value] of Object.entries(root)) flatten(section, value, { mapKeys, settings });
  return settings;
}

function flatten(
  name: string,
  value: unknown,
  into: { readonly mapKeys: readonly string[]; readonly settings: Map<string, unknown> },
): void {
  // A section that is there but empty (`gate:` with everything below commented out) sets nothing.
  if (value === null && !name.includes(".")) return;
  if (!isMap(value) || into.mapKeys.includes(name)) {
    into.settings.set(name, value);
    return;
  }
  for (const [key, below] of Object.entries(value)) flatten(`${name}.${key}`, below, into);
}

function readText(path: string): string | undefined {
  try {
    const data = readFileSync(path);
    if (data.length > MAX_FILE_BYTES) throw invalid(path, "larger than 1 MiB");
    return new TextDecoder("utf-8", { fatal: true }).decode(data);
  } catch (failure) {
    if (failure instanceof Problem) throw failure;
    const code = errorCode(failure);
    if (code === "ENOENT") return undefined;
    throw invalid(path, code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "not UTF-8" : code, failure);
  }
}

/** Without the colon before an excerpt of the file. */
function firstLine(message: string): string {
  return message.replace(/:?\n.*$/s, "");
}

function toValue(path: string, read: () => unknown): unknown {
  try {
    return read();
  } catch (failure) {
    throw invalid(path, "aliases are not supported", failure);
  }
}

function isMap(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(path: string, why: string, cause?: unknown): Problem {
  return new Problem("config.invalid", { detail: `${path}: ${why}.`, cause });
}
