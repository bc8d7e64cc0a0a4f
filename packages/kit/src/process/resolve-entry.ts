import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** Where the sources of this file stand below the workspace root. */
const ROOT_FROM_SOURCES = "../../../../";

/**
 * The script of a process of ours (`gate-holder`), absolute. Bundled code finds it beside itself, code that runs from
 * its sources in the workspace's `dist/`. One that is not built is a broken installation, so it throws.
 */
export function resolveEntry(name: string): string {
  const folder = import.meta.url.endsWith(".ts") ? `${ROOT_FROM_SOURCES}dist/` : "./";
  const path = fileURLToPath(new URL(`${folder}${name}.js`, import.meta.url));
  if (!existsSync(path)) throw new Error(`${path} is not there; build it with: npm run build`);
  return path;
}
