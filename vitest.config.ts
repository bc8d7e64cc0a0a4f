import { defineConfig } from "vitest/config";

/** Pure rules: nothing there keeps state between files, so one worker takes them all without isolation. */
const PURE = ["packages/core/test/**/*.test.ts", "packages/gate/test/{http1,scrub}/**/*.test.ts"];
const END_TO_END = "spec/**/*.test.ts";
/** Real minutes go by there. */
const ONLY_IN_SOAK = ["spec/long-sessions.test.ts"];

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
          name: "spec",
          include: [END_TO_END],
          exclude: process.env.TESTBED_SOAK === "1" ? [] : ONLY_IN_SOAK,
          pool: "forks",
          // Each file starts the product: side by side they would measure one another.
          fileParallelism: false,
          sequence: { groupOrder: 2 },
          testTimeout: 120_000,
          hookTimeout: 60_000,
        },
      },
    ],
  },
});
