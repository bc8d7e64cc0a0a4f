import { describe, expect, test } from "vitest";
import { PROBLEMS, Problem, type ProblemRow, toProblem } from "../src/index.ts";

const ROWS: readonly (readonly [string, ProblemRow])[] = Object.entries(PROBLEMS);

describe("the table of problems", () => {
  test.each(ROWS)("%s has a public sentence, an HTTP error and a failing exit code", (code, row) => {
    expect(code).toMatch(/^(?:internal|[a-z]+\.[a-z_]+)$/);
    expect(row.say).toMatch(/^[A-Z].*[.)]?[a-z.)]$/);
    expect(row.http).toBeGreaterThanOrEqual(400);
    expect(row.http).toBeLessThan(600);
    expect(row.exit).toBeGreaterThan(0);
    // From 128 on shells mean signals; who cancels at a prompt does what Ctrl-C does elsewhere.
    if (code === "usage.cancelled") expect(row.exit).toBe(130);
    else expect(row.exit).toBeLessThan(128);
  });

  test.each([
    ["gate.run_unknown", 407],
    ["gate.run_unregistered", 403],
    ["gate.run_elsewhere", 403],
    ["gate.ambiguous_request", 400],
    ["gate.destination_mismatch", 403],
    ["gate.address_forbidden", 403],
    ["gate.policy_denied", 403],
    ["gate.protocol_unknown", 400],
    ["gate.placeholder_misplaced", 403],
    ["gate.credential_unavailable", 502],
    ["gate.upstream_unreachable", 502],
    ["gate.upstream_untrusted", 502],
    ["gate.upstream_protocol", 502],
    ["gate.upstream_timeout", 504],
    ["gate.overloaded", 503],
    ["gate.audit_unavailable", 503],
    ["runs.token_conflict", 409],
    ["runs.token_revoked", 410],
  ] as const)("%s answers %i, as every client was promised", (code, http) => {
    expect(PROBLEMS[code].http).toBe(http);
  });
});

test("a problem says its public sentence, its detail, and keeps its cause off the message", () => {
  const cause = new Error("password=hunter2");
  const problem = new Problem("policy.invalid", { detail: "policy.mode is odd.", cause });
  expect(problem.message).toBe("The policy is not valid. policy.mode is odd.");
  expect(problem.row).toBe(PROBLEMS["policy.invalid"]);
  expect(problem.cause).toBe(cause);
  expect(new Problem("internal").message).toBe(PROBLEMS.internal.say);
});

test("an edge shows problems as they are and everything else as internal", () => {
  const problem = new Problem("runs.not_found");
  expect(toProblem(problem)).toBe(problem);
  for (const thrown of [new TypeError("bug"), "text", undefined, { code: "runs.not_found" }]) {
    const { code, cause, detail } = toProblem(thrown);
    expect({ code, cause, detail }).toEqual({ code: "internal", cause: thrown, detail: undefined });
  }
});
