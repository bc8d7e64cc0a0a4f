import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** What this build is. */
export interface BuildInfo {
  readonly version: string;
  readonly commit: string;
}

/** Read from `build.json` beside the bundle; a run from the sources has none. */
export function buildInfo(): BuildInfo {
  try {
    const path = join(dirname(fileURLToPath(import.meta.url)), "build.json");
    return JSON.parse(readFileSync(path, "utf8")) as BuildInfo;
  } catch {
    return { version: "0.1.0", commit: "unknown" };
  }
}
