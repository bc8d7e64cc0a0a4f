import { existsSync, readdirSync, writeFileSync } from "node:fs";

/** What a program is started with, so that its wall clock is off by so much (`+10m`, `-100d`); timers run as ever. */
export function shiftClock(by: string): readonly string[] {
  return [...preload(), `FAKETIME=${by}`];
}

/** The same for a wall clock that is moved while the program runs. */
export interface MovableClock {
  readonly inside: readonly string[];
  /** How far it is off from now on. */
  move(by: string): void;
}

/** `file` holds how far the clock is off. */
export function movableClock(file: string): MovableClock {
  const move = (by: string) => writeFileSync(file, `${by}\n`);
  move("+0");
  return { inside: [...preload(), `FAKETIME_TIMESTAMP_FILE=${file}`, "FAKETIME_NO_CACHE=1"], move };
}

function preload(): readonly string[] {
  const folders = readdirSync("/usr/lib").map((name) => `/usr/lib/${name}/faketime/libfaketimeMT.so.1`);
  const library = folders.find((path) => existsSync(path));
  if (library === undefined) throw new Error("libfaketime is not installed (Debian: libfaketime)");
  return ["env", `LD_PRELOAD=${library}`, "FAKETIME_DONT_FAKE_MONOTONIC=1"];
}
