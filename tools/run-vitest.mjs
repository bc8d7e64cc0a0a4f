// Runs vitest and writes what became of every test, with the reason of every skip, to a file as JSON.
// Usage: node tools/run-vitest.mjs REPORT [filter…]. Needs the Node that the product needs.
import { writeFile } from "node:fs/promises";
import { startVitest } from "vitest/node";

const [report = "", ...filters] = process.argv.slice(2);
const vitest = await startVitest("test", filters, { watch: false, run: true });
const modules = vitest.state.getTestModules();
const tests = modules.flatMap((module) => [...module.children.allTests()]);
const counts = { passed: 0, failed: 0, skipped: 0 };
const skips = [];

for (const test of tests) {
  const { state, note } = test.result();
  // A test that never came to its end did not pass, whatever the reason.
  counts[state === "passed" || state === "skipped" ? state : "failed"] += 1;
  if (state === "skipped")
    skips.push({ name: `${test.module.relativeModuleId}: ${test.fullName}`, why: note ?? "no reason given" });
}
const suites = modules.flatMap((module) => [module, ...module.children.allSuites()]);
counts.failed += suites.filter((suite) => suite.errors().length > 0).length;
counts.failed += vitest.state.getUnhandledErrors().length;

await writeFile(report, JSON.stringify({ counts, skips }));
await vitest.close();
