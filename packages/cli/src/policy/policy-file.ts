import { findInnerKey, Problem, type ProblemCode } from "@gatehouse/core";
import { type Document, isNode, LineCounter, parseDocument } from "yaml";
import { readStandardInput } from "../terminal/read-standard-input.ts";
import { readTextFile } from "../terminal/read-text-file.ts";

/** A place in a file, counted from 1. */
export interface Place {
  readonly line: number;
  readonly column: number;
}

/** A YAML file, and where each part of it stands. */
export interface PlacedFile {
  readonly path: string;
  readonly value: unknown;
  /** Of the innermost part that is there: keys and indices from the top. */
  place(path: readonly (string | number)[]): Place;
}

/** Reads a policy file, or one of the words `strict` and `permissive`. Fails with `policy.invalid`. */
export async function readPolicy(policy: string): Promise<PlacedFile> {
  if (policy === "strict" || policy === "permissive") {
    return { path: policy, value: { mode: policy }, place: () => ({ line: 1, column: 1 }) };
  }
  const file = await readPolicyFile(policy);
  const inner = findInnerKey(file.value);
  if (inner === undefined) return file;
  const { line, column } = file.place(inner.path);
  throw new Problem("policy.invalid", { detail: `${policy}:${line}:${column}: ${inner.message}` });
}

/** Reads a file that is to be a policy, of which nothing else is checked. Fails with `policy.invalid`, `usage.invalid`. */
export async function readPolicyFile(path: string): Promise<PlacedFile> {
  const file = await readPlacedFile(path, "policy.invalid");
  if (!hasKey(file.value, "cases")) return file;
  throw new Problem("usage.invalid", {
    detail: `${path} is a file of cases, not a policy. To check them: gatehouse policy test ${path}.`,
  });
}

export function hasKey(written: unknown, key: string): boolean {
  return typeof written === "object" && written !== null && key in written;
}

/**
 * Reads one YAML document, from standard input where the path is `-`. Fails with the code, saying where, when it cannot
 * be read.
 */
export async function readPlacedFile(path: string, code: ProblemCode): Promise<PlacedFile> {
  const lines = new LineCounter();
  const options = { lineCounter: lines, logLevel: "error", prettyErrors: false } as const;
  const document = parseDocument(await readText(path, code), options);
  const [fault] = document.errors;
  if (fault !== undefined) {
    const { line, col } = lines.linePos(fault.pos[0]);
    throw new Problem(code, { detail: `${path}:${line}:${col}: not YAML: ${fault.message}.` });
  }
  return { path, value: toValue(document, { path, code }), place: (at) => placeOf(document, lines, at) };
}

const MAX_BYTES = 1_048_576;

function readText(path: string, code: ProblemCode): Promise<string> {
  return path === "-" ? readStandardInput(MAX_BYTES, code) : readTextFile(path, MAX_BYTES);
}

/** Aliases are expanded here: too many of them are an attack on whoever reads the file. */
function toValue(document: Document, { path, code }: { readonly path: string; readonly code: ProblemCode }): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (cause) {
    throw new Problem(code, { detail: `${path} holds too many aliases, or one of nothing.`, cause });
  }
}

function placeOf(document: Document, lines: LineCounter, at: readonly (string | number)[]): Place {
  for (let length = at.length; length > 0; length -= 1) {
    const node = document.getIn(at.slice(0, length), true);
    if (!isNode(node) || node.range === undefined || node.range === null) continue;
    const { line, col } = lines.linePos(node.range[0]);
    return { line, column: col };
  }
  return { line: 1, column: 1 };
}
