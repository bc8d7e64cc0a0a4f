// `npm test`: install what the lockfile names where it is missing, build, check, run every test. Runs on Node 20 and
// newer; the tests themselves run on the Node that the lockfile brings. The last line is `N passed, N failed, N
// skipped`. Arguments are vitest's file filters; with some, the static checks are left out. `--soak` runs the long
// forms of the leak, fault and partition tests alone.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { setUp } from "./set-up.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const bin = join(root, "node_modules/.bin");
const isSoak = process.argv.includes("--soak");
const filters = isSoak
  ? ["spec/leaks", "holder/faults", "spec/node-faults", "server/test/faults", "spec/partitions", "spec/long-sessions"]
  : process.argv.slice(2);
/** Hosts preset variables that load code, trust or proxies into every process; tests start without them. */
const KEPT = ["HOME", "USER", "LOGNAME", "LANG", "TERM", "TMPDIR", "TZ", "CI"];

function run(command, args, env = process.env) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: ["ignore", "inherit", "inherit"], env });
  if (error) console.error(String(error));
  return status === 0;
}

function runTests() {
  const scratch = mkdtempSync(join(tmpdir(), "gatehouse-test-"));
  try {
    const report = join(scratch, "report.json");
    const kept = KEPT.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]));
    const env = {
      ...Object.fromEntries(kept),
      PATH: `${bin}:${process.env.PATH}`,
      ...(isSoak ? { TESTBED_SOAK: "1" } : {}),
    };
    run(join(bin, "node"), [join(root, "tools/run-vitest.mjs"), report, ...filters], env);
    return existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : undefined;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** What a request costs beside a blind relay, compared with what was committed. Alone on the machine, so at the end. */
function compareCost() {
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}` };
  return run(join(bin, "node"), [join(root, "bench/run.ts"), "gate", "--compare"], env);
}

async function main() {
  const failures = [];
  try {
    await setUp(root);
  } catch (failure) {
    return { failures: [`the set-up: ${failure.message}`] };
  }
  const check = join(root, "tools/check.mjs");
  if (filters.length === 0 && !run(process.execPath, [check])) failures.push("the static checks");
  const report = runTests();
  if (report === undefined) failures.push("vitest, which did not come to its end");
  else if (Object.values(report.counts).every((count) => count === 0)) failures.push("there was no test to run");
  if (filters.length === 0 && !compareCost()) failures.push("the cost of a request (npm run bench -- gate --compare)");
  return { failures, report };
}

const { failures, report } = await main();
const { passed, failed, skipped } = report?.counts ?? { passed: 0, failed: 0, skipped: 0 };
for (const { name, why } of report?.skips ?? []) console.log(`skipped: ${name} (${why})`);
for (const what of failures) console.log(`failed: ${what}`);
const failedInAll = failed + failures.length;
// A machine that runs tests for others has what they need: a skip there is a hole.
const isClean = failedInAll === 0 && !(skipped > 0 && process.env.CI === "true");
if (failedInAll === 0 && !isClean) console.log("failed: skipped tests are failures when CI=true");
process.exitCode = isClean ? 0 : 1;
console.log(`${passed} passed, ${failedInAll} failed, ${skipped} skipped`);
