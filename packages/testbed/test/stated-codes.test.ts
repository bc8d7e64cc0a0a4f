import { expect, test } from "vitest";
import { requireStatedCode } from "../src/world/stated-codes.ts";

const refused = (method: string, path: string, code: unknown) => () =>
  requireStatedCode({ method, path, body: { error: "no", code } });

test("a refusal that the reference states is taken, of the call or of any", () => {
  expect(refused("PATCH", "/v1/runs/abc", "runs.not_found")).not.toThrow();
  expect(refused("GET", "/v1/sandboxes/a/logs?follow", "runs.not_found")).not.toThrow();
  expect(refused("GET", "/v1/nothing", "api.unknown_path")).not.toThrow();
});

test("a refusal that it does not state of this call fails, and so does one without a code", () => {
  expect(refused("POST", "/v1/runs", "routes.target_refused")).toThrow(
    "POST /v1/runs is refused with routes.target_refused",
  );
  expect(refused("PATCH", "/v1/runs/a/b", "runs.not_found")).toThrow();
  expect(refused("GET", "/v1/health", undefined)).toThrow();
});
