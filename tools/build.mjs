// Bundles the shipped processes into dist/. Runs on Node 20 and newer; takes well under a second.
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { cp, mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const target = join(root, "dist");
// Built beside and moved in place at the end: a daemon that starts meanwhile finds the old build or the new one.
const outdir = join(root, `dist.${process.pid}`);

/** Every process of the product and the file it starts from. */
const ENTRIES = {
  program: "packages/cli/src/program.ts",
  "gate-holder": "packages/gate/src/holder/main.ts",
};
/**
 * Those that are whole in one file: inside a sandbox no other file of ours is, and what starts with every run must not
 * read what the others need. (Shared chunks hold whatever one of their users needs.)
 */
const ALONE = {
  confine: "packages/node/src/sandbox/confine.ts",
  gatehouse: "packages/cli/src/main.ts",
  "gate-worker": "packages/gate/src/worker/main.ts",
  keeper: "packages/node/src/keeper/main.ts",
  "open-listener": "packages/node/src/keeper/open-listener.ts",
  "run-program": "packages/cli/src/run-program.ts",
};

/**
 * An import of `node:http` reads each of its exports, one of which loads the whole of undici: 30 ms of every start, and
 * memory in every process. Asked for by a call, it reads none until it is used.
 */
const HTTP_WITHOUT_UNDICI = {
  name: "http-without-undici",
  setup(bundle) {
    bundle.onResolve({ filter: /^(node:)?http$/ }, () => ({ path: "http", namespace: "builtin" }));
    bundle.onLoad({ filter: /^http$/, namespace: "builtin" }, () => ({
      contents: 'module.exports = process.getBuiltinModule("node:http");',
    }));
  },
};

await mkdir(outdir, { recursive: true });
process.on("exit", (code) => {
  if (code !== 0) rmSync(outdir, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));
const options = {
  absWorkingDir: root,
  outdir,
  bundle: true,
  format: "esm",
  platform: "node",
  target: "node24",
  // Node.js 24 has it; rewritten by the bundler it would throw a loop's first failure again in each later turn.
  supported: { using: true },
  sourcemap: "linked",
  legalComments: "linked",
  // koffi finds its compiled part beside its own files, so it stays a package.
  external: ["koffi"],
  plugins: [HTTP_WITHOUT_UNDICI],
  // CommonJS dependencies inside an ES module bundle still ask for require.
  banner: {
    js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);',
  },
  logLevel: "warning",
};
await build({ ...options, entryPoints: ENTRIES, splitting: true });
for (const [name, entry] of Object.entries(ALONE)) await build({ ...options, entryPoints: { [name]: entry } });
await cp(join(root, "packages/gate/templates"), join(outdir, "templates"), { recursive: true });
await writeFile(join(outdir, "build.json"), `${JSON.stringify({ version: version(), commit: commit() })}\n`);

const old = `${outdir}.old`;
await rename(target, old).catch(() => undefined);
await rename(outdir, target);
await rm(old, { recursive: true, force: true });

function version() {
  return JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version;
}

/** A tree without git (an archive, an image) has no commit to name. */
function commit() {
  try {
    return execFileSync("git", ["rev-parse", "--short=12", "HEAD"], {
      cwd: root,
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    }).trim();
  } catch {
    return "unknown";
  }
}
