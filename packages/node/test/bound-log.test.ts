import { closeSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { boundLog } from "../src/daemon/bound-log.ts";

let directory = "";
let path = "";
let fd = 0;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-daemon-log-"));
  path = join(directory, "daemon.log");
  fd = openSync(path, "ax", 0o600);
});
afterEach(async () => {
  closeSync(fd);
  await rm(directory, { recursive: true, force: true });
});

test("a daemon's log is begun anew over its bound, and no line of it is lost until the next time", () => {
  for (let line = 0; line < 100; line += 1) {
    writeSync(fd, `line ${line}\n`);
    boundLog({ path, fd, maxBytes: 300 });
    expect(statSync(path).size).toBeLessThanOrEqual(310);
  }
  const [before, now] = [readFileSync(`${path}.1`, "utf8"), readFileSync(path, "utf8")];
  expect(before + now).toMatch(/^line \d+\n(?:line \d+\n)*line 99\n$/);
  expect((before + now).split("\n").length).toBeGreaterThan(35);
  expect(statSync(`${path}.1`).mode & 0o777).toBe(0o600);
});

test("a log that cannot be kept aside is bounded all the same, and that is said", () => {
  mkdirSync(`${path}.1`);
  writeSync(fd, "x".repeat(100));
  expect(boundLog({ path, fd, maxBytes: 10 })).toBe("lost");
  expect(statSync(path).size).toBe(0);
});

test("another file than the daemon's log is left alone", () => {
  const other = openSync(join(directory, "other.log"), "ax", 0o600);
  writeSync(other, "x".repeat(100));
  writeSync(fd, "x".repeat(100));
  boundLog({ path, fd: other, maxBytes: 10 });
  boundLog({ path: join(directory, "absent.log"), fd, maxBytes: 10 });
  closeSync(other);
  expect([statSync(path).size, statSync(join(directory, "other.log")).size]).toEqual([100, 100]);
});
