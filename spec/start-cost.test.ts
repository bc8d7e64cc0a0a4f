import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const file = (path: string) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const TRIES = 7;

/** The shortest of several times: what others do on the machine only makes it longer. */
function shortestMs(args: readonly string[]): number {
  const times = Array.from({ length: TRIES }, () => {
    const began = performance.now();
    expect(spawnSync(process.execPath, [...args], { stdio: "ignore" }).status).toBe(0);
    return performance.now() - began;
  });
  return Math.min(...times);
}

test("help costs little more than starting Node.js", () => {
  const bare = shortestMs(["-e", "0"]);
  expect(shortestMs([file("packages/cli/bin/gatehouse.mjs"), "--help"])).toBeLessThan(bare * 2 + 60);
});

test.each([
  ["open-listener", 100],
  ["keeper", 500],
  ["confine", 100],
])("%s, which starts with every run, is one file of less than %d KiB", (name, kib) => {
  const text = readFileSync(file(`dist/${name}.js`), "utf8");
  expect(text.length).toBeLessThan(kib * 1_024);
  expect(text).not.toMatch(/from "\.\//);
});
