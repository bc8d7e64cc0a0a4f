import { describe, expect, test } from "vitest";
import { type FuzzTarget, fuzz } from "./fuzz-target.ts";
import { loadWithBug } from "./plant-bug.ts";
import { PLANTS } from "./plants.ts";
import { target as answers } from "./targets/answers.ts";
import { target as audit } from "./targets/audit.ts";
import { target as hosts } from "./targets/hosts.ts";
import { target as pipeline } from "./targets/pipeline.ts";
import { target as policy } from "./targets/policy.ts";
import { target as policyFile } from "./targets/policy-file.ts";
import { target as registration } from "./targets/registration.ts";
import { target as requests } from "./targets/requests.ts";
import { target as scrubber } from "./targets/scrubber.ts";

const SEED = Number(process.env.FUZZ_SEED ?? 20_261_124);
const RUNS = Number(process.env.FUZZ_RUNS ?? 20_000);
const DEADLINE_MS = Number(process.env.FUZZ_MS ?? 3_000);
/** A bug in a copy must be found in this time, whatever the machine is doing. */
const PLANT_MS = 60_000;
const TARGETS: Readonly<Record<string, FuzzTarget>> = {
  requests,
  answers,
  pipeline,
  policy,
  "policy-file": policyFile,
  registration,
  scrubber,
  hosts,
  audit,
};

describe(`whatever the input (seed ${SEED})`, () => {
  const timeout = DEADLINE_MS + 60_000;
  test.each(Object.entries(TARGETS))("%s: what must hold, holds", { timeout }, async (_, target) => {
    expect(await fuzz(target, { seed: SEED, runs: RUNS, deadlineMs: DEADLINE_MS })).toBeUndefined();
  });
});

describe(`a planted bug is found (seed ${SEED})`, () => {
  test("every target has one", () => {
    expect(new Set(PLANTS.map(({ target }) => target))).toEqual(new Set(Object.keys(TARGETS)));
  });

  test.each(PLANTS)("$target: $bug", async (plant) => {
    const target = await loadWithBug(plant);
    const finding = await fuzz(target, { seed: SEED, runs: Number.MAX_SAFE_INTEGER, deadlineMs: PLANT_MS });
    expect(finding).toBeDefined();
  });
});
