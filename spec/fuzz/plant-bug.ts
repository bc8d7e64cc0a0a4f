import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { build, type Plugin } from "esbuild";
import type { FuzzTarget } from "./fuzz-target.ts";
import type { Plant } from "./plants.ts";

const PACKAGES = fileURLToPath(new URL("../../packages", import.meta.url));

/** A target over a copy of the source that holds the bug. Fails when the place for it is not there exactly once. */
export async function loadWithBug(plant: Plant): Promise<FuzzTarget> {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-plant-"));
  const outfile = join(directory, "target.mjs");
  try {
    let planted = 0;
    const plugin: Plugin = {
      name: "plant",
      setup: (bundle) => {
        const path = join(PACKAGES, plant.file);
        bundle.onLoad({ filter: /\.ts$/ }, async (file) => {
          if (file.path !== path) return undefined;
          const source = await readFile(path, "utf8");
          if (source.split(plant.anchor).length !== 2) throw new Error(`${plant.file} has not once: ${plant.anchor}`);
          planted += 1;
          return { contents: source.replace(plant.anchor, () => plant.becomes), loader: "ts" };
        });
      },
    };
    await build({
      entryPoints: [fileURLToPath(new URL(`targets/${plant.target}.ts`, import.meta.url))],
      outfile,
      bundle: true,
      format: "esm",
      platform: "node",
      target: "node24",
      external: ["koffi"],
      banner: { js: 'import { createRequire as r } from "node:module"; const require = r(import.meta.url);' },
      plugins: [plugin],
      logLevel: "silent",
    });
    if (planted !== 1) throw new Error(`${plant.target} does not use ${plant.file}`);
    const { target } = (await import(pathToFileURL(outfile).href)) as { readonly target: FuzzTarget };
    return target;
  } finally {
    await rm(directory, { recursive: true });
  }
}
