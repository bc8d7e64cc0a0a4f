import { defineConfig } from "vitest/config";

/** Pure rules: nothing there keeps state between files, so one worker takes them all without isolation. */
const PURE = ["packages/core/test/**/*.test.ts", "packages/gate/test/{http1,scrub}/**/*.test.ts"];
/** Each file of `spec` starts the product. */
const END_TO_END = { pool: "forks", testTimeout: 120_000, hookTimeout: 60_000 } as const;
/** They measure times that a neighbour would lengthen, or replace the build: nothing runs beside them. */
const ALONE = ["completion", "faults", "fleet-credentials", "start", "start-cost"].map(specFile);
/** Real minutes go by there. */
const ONLY_IN_SOAK = ["long-sessions"].map(specFile);

function specFile(name: string): string {
  return `spec/${name}.test.ts`;
}

export default defineConfig({
  test: {
    // Tests must not depend on who is logged in or what the machine is set up with.
    env: { NO_COLOR: "1" },
    projects: [
      {
        extends: true,
        test: { name: "pure", include: PURE, isolate: false, sequence: { groupOrder: 0 } },
      },
      {
        extends: true,
        test: {
          name: "packages",
          include: ["packages/*/test/**/*.test.ts"],
          exclude: PURE,
          pool: "forks",
          // They wait more than they work.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
      {
        extends: true,
        test: {
          ...END_TO_END,
          name: "spec",
          include: ["spec/**/*.test.ts"],
          exclude: ["**/node_modules/**", ...ALONE, ...(process.env.TESTBED_SOAK === "1" ? [] : ONLY_IN_SOAK)],
          // They wait for the product nearly as much as it works.
          maxWorkers: 2,
          sequence: { groupOrder: 2 },
        },
      },
      {
        extends: true,
        test: {
          ...END_TO_END,
          name: "spec-alone",
          include: ALONE,
          fileParallelism: false,
          sequence: { groupOrder: 3 },
        },
      },
    ],
  },
});
