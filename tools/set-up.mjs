// What a fresh clone needs before anything runs: the packages that the lockfile names, and the build.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Installs what is missing, builds, and returns the path of the packaged Node.js. Throws with a sentence when a step
 * fails or the install would change the lockfile. What the steps say goes to stderr.
 */
export async function setUp(root) {
  if (!isInstalled(root)) install(root);
  const build = spawnSync(process.execPath, [join(root, "tools/build.mjs")], { cwd: root, stdio: ["ignore", 2, 2] });
  if (build.status !== 0) throw new Error("the build failed");
  const node = join(root, "node_modules/.bin/node");
  if (existsSync(node)) return node;
  if (process.versions.node.localeCompare("24.7", "en", { numeric: true }) >= 0) return process.execPath;
  throw new Error(
    `there is no packaged Node.js for ${process.platform}-${process.arch}: install Node.js 24.7 or newer`,
  );
}

/** Whether every package that the lockfile names for this platform is there in its version. */
function isInstalled(root) {
  const installedPath = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installedPath)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const there = JSON.parse(readFileSync(installedPath, "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, optional, link }]) => {
    if (!path.includes("node_modules/") || optional || link) return true;
    return there[path]?.version === version;
  });
}

function install(root) {
  const lockfile = join(root, "package-lock.json");
  const before = readFileSync(lockfile);
  console.error("Installing packages (once) …");
  // The host's own Node.js may be older than what tools ask for: they run on the packaged one.
  const { status } = spawnSync("npm", ["install", "--loglevel=error"], { cwd: root, stdio: ["ignore", 2, 2] });
  if (status !== 0) throw new Error("npm install failed");
  if (readFileSync(lockfile).equals(before)) return;
  writeFileSync(lockfile, before);
  throw new Error("npm install would change package-lock.json, so it is not what was committed");
}
