import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually, findLeftovers, REPOSITORY, runProcess, stretchedLimit } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const CHECKS = [
  "sandboxed-call-authenticated",
  "secret-not-in-sandbox",
  "denied-host-refused",
  "no-route-but-gate",
  "response-carries-no-secret",
  "request-recorded",
  "revoked-next-request",
  "audit-verifies",
];
/** What a clone does not bring. */
const NOT_CLONED = new Set(["node_modules", "dist", ".git", "coverage", ".state"]);

async function temporaryDirectory() {
  const path = await mkdtemp(join(tmpdir(), "gh-start-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

function hostEnv(home: string) {
  return {
    // The host's own Node, as a newcomer has it.
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: home,
    TMPDIR: home,
    npm_config_cache: join(process.env.HOME ?? "/root", ".npm"),
    npm_config_prefer_offline: "true",
  };
}

async function start(repository: string, home: string, timeoutMs: number) {
  const env = hostEnv(home);
  const before = performance.now();
  const finished = await runProcess("npm", ["start", "--", "--once", "--json"], { cwd: repository, env, timeoutMs });
  return { ...finished, tookMs: performance.now() - before };
}

function expectAllChecks(stdout: string): void {
  const last = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "") as {
    readonly ok: boolean;
    readonly checks: readonly { readonly name: string; readonly ok: boolean; readonly detail: string }[];
  };
  expect(last.checks.filter(({ ok }) => !ok)).toEqual([]);
  expect(last.checks.map(({ name }) => name)).toEqual(expect.arrayContaining(CHECKS));
  expect(last.checks.every(({ detail }) => detail !== "")).toBe(true);
  expect(last.ok).toBe(true);
}

test("npm start runs the demo, passes every check and ends by itself", async () => {
  await using home = await temporaryDirectory();
  const { code, stdout, stderr, tookMs } = await start(REPOSITORY, home.path, 60_000);
  expect(code, stderr.slice(-3_000)).toBe(0);
  expectAllChecks(stdout);
  // Six seconds on a quiet machine.
  expect(tookMs).toBeLessThan(await stretchedLimit(15_000));
  const { processes, mounts, sockets } = await findLeftovers(home.path);
  expect([processes, mounts, sockets]).toEqual([[], [], []]);
});

/** Stops the start while it installs, as Ctrl-C does. */
async function interruptInstall(repository: string, env: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn("node", ["tools/start.mjs", "--once"], {
    cwd: repository,
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  const isUnpacking = () => existsSync(join(repository, "node_modules/pg-types"));
  await eventually("the install under way", isUnpacking, { timeoutMs: 60_000 });
  child.kill("SIGINT");
  await once(child, "close");
  return said;
}

test("npm start on a fresh clone installs what it needs first, also after it was interrupted", async () => {
  await using home = await temporaryDirectory();
  const clone = join(home.path, "clone");
  for (const name of await readdir(REPOSITORY)) {
    if (NOT_CLONED.has(name)) continue;
    const filter = (path: string) => !/\/(?:node_modules|dist)(?:\/|$)/.test(path.slice(REPOSITORY.length));
    await cp(join(REPOSITORY, name), join(clone, name), { recursive: true, filter });
  }
  expect(await interruptInstall(clone, hostEnv(home.path))).toContain("npm install was interrupted");
  const { code, stdout, stderr, tookMs } = await start(clone, home.path, 180_000);
  expect(code, stderr.slice(-3_000)).toBe(0);
  expectAllChecks(stdout);
  expect(tookMs).toBeLessThan(await stretchedLimit(90_000));
}, 200_000);
