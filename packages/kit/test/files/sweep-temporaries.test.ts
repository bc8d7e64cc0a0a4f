import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDaemonLock } from "../../src/index.ts";

const TWO_HOURS_S = 7_200;

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gatehouse-sweep-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** A file that was last written two hours ago, or now. */
function leave(name: string, isOld = true): string {
  const path = join(directory, name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, "half of a key");
  const seconds = Date.now() / 1_000 - (isOld ? TWO_HOURS_S : 0);
  utimesSync(path, seconds, seconds);
  return path;
}

async function openAndClose(): Promise<void> {
  const details = { pid: process.pid, proxy_port: 0, sock_path: "", started_at: "", commit: "" };
  await (await openDaemonLock(directory, details))[Symbol.asyncDispose]();
}

test("whoever takes a state directory removes what killed writers left there long ago", async () => {
  const left = [
    "identity.key.0123456789ab.tmp",
    "ca/interception.key.ba9876543210.tmp",
    "server/keys/a.00000000000f.tmp",
  ];
  const paths = left.map((name) => leave(name));
  await openAndClose();
  expect(paths.filter(existsSync)).toEqual([]);
});

test("what is new, is named otherwise, is a run's or lies behind a link stays", async () => {
  const outside = mkdtempSync(join(tmpdir(), "gatehouse-outside-"));
  const behind = join(outside, "a.0123456789ab.tmp");
  writeFileSync(behind, "");
  utimesSync(behind, 0, 0);
  symlinkSync(outside, join(directory, "link"));
  symlinkSync(behind, join(directory, "b.0123456789ab.tmp"));
  const kept = [
    leave("identity.key.0123456789ab.tmp", false),
    leave("notes.tmp"),
    leave("identity.key"),
    leave("runs/r1/home/a.0123456789ab.tmp"),
  ];
  await openAndClose();
  expect([...kept, behind].filter((path) => !existsSync(path))).toEqual([]);
  expect(existsSync(join(directory, "b.0123456789ab.tmp"))).toBe(true);
  rmSync(outside, { recursive: true });
});
