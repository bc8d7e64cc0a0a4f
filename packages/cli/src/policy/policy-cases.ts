import { Problem } from "@gatehouse/core";
import { hasKey, type Place, readPlacedFile } from "./policy-file.ts";

/** A request, and what a policy should say of it. */
export interface PolicyCase {
  readonly name: string;
  readonly method: string;
  readonly url: string;
  readonly expect: "allow" | "deny";
  /** `rules[2]`, `default`, …; absent: any. */
  readonly rule: string | undefined;
  /** Code of the refusal; absent: any. */
  readonly code: string | undefined;
}

export interface PolicyCases {
  /** As it stands in the file: a path beside it, `strict` or `permissive`. */
  readonly policy: string;
  readonly cases: readonly (PolicyCase & Place)[];
}

const FILE_KEYS = ["policy", "cases"];
/** Which of them a policy has. */
const POLICY_KEYS = ["mode", "rules", "allow"];
const CASE_KEYS = ["name", "request", "expect", "rule", "code"];
const REQUEST = /^(\S+) +(\S+)$/;

/** Reads a file of cases strictly: a key that is misspelled would test nothing. Fails with `policy.invalid`. */
export async function readPolicyCases(path: string): Promise<PolicyCases> {
  const file = await readPlacedFile(path, "policy.invalid");
  if (!hasKey(file.value, "cases") && POLICY_KEYS.some((key) => hasKey(file.value, key))) {
    throw new Problem("usage.invalid", {
      detail: `${path} is a policy, not a file of cases. To look it through: gatehouse policy lint ${path}.`,
    });
  }
  const invalid = (at: readonly (string | number)[], expected: string): Problem => {
    const { line, column } = file.place(at);
    return new Problem("policy.invalid", { detail: `${path}:${line}:${column}: ${expected}.` });
  };
  const { policy, cases } = object(file.value, FILE_KEYS, (expected) => invalid([], expected));
  if (typeof policy !== "string") throw invalid(["policy"], "policy names a file, strict or permissive");
  if (!Array.isArray(cases) || cases.length === 0) throw invalid(["cases"], "cases is a list of at least one");
  return {
    policy,
    cases: cases.map((written: unknown, index) => {
      const at = ["cases", index];
      return { ...readCase(written, (expected) => invalid(at, expected)), ...file.place(at) };
    }),
  };
}

type Invalid = (expected: string) => Problem;

function readCase(written: unknown, invalid: Invalid): PolicyCase {
  const { name, request, expect, rule, code } = object(written, CASE_KEYS, invalid);
  const [, method, url] = typeof request === "string" ? (REQUEST.exec(request) ?? []) : [];
  if (method === undefined || url === undefined) throw invalid("request is METHOD URL");
  if (expect !== "allow" && expect !== "deny") throw invalid("expect is allow or deny");
  return {
    name: optionalText(name, "name", invalid) ?? `${method} ${url}`,
    method,
    url,
    expect,
    rule: optionalText(rule, "rule", invalid),
    code: optionalText(code, "code", invalid),
  };
}

function optionalText(written: unknown, key: string, invalid: Invalid): string | undefined {
  if (written !== undefined && typeof written !== "string") throw invalid(`${key} is a text`);
  return written;
}

function object(written: unknown, known: readonly string[], invalid: Invalid): Readonly<Record<string, unknown>> {
  if (typeof written !== "object" || written === null || Array.isArray(written)) {
    throw invalid(`an object with ${known.join(", ")} is needed`);
  }
  const unknown = Object.keys(written).find((key) => !known.includes(key));
  if (unknown !== undefined) throw invalid(`${unknown.slice(0, 40)} is not known; known are ${known.join(", ")}`);
  return written as Readonly<Record<string, unknown>>;
}
