import { existsSync, readdirSync } from "node:fs";

/** What a program is started with, so that its wall clock is off by so much (`+10m`, `-100d`); timers run as ever. */
export function shiftClock(by: string): readonly string[] {
  const folders = readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`);
  const library = folders.find((path) => existsSync(path));
  if (library === undefined) throw new Error("libfaketime is not installed (Debian: libfaketime)");
  return ["env", `LD_PRELOAD=${library}`, `FAKETIME=${by}`, "FAKETIME_DONT_FAKE_MONOTONIC=1"];
}
