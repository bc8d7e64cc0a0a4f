// What a fresh clone needs before anything runs: the packages that the lockfile names, and the build.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { accessSync, constants, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/**
 * Installs what is missing, builds, and returns the path of the packaged Node.js. Throws with a sentence when a step
 * fails or is interrupted, or the install would change the lockfile. What the steps say goes to stderr.
 */
export async function setUp(root) {
  refuseUnwritable(root);
  if (!isInstalled(root)) await install(root);
  await runStep({ root, name: "the build", command: process.execPath, args: [join(root, "tools/build.mjs")] });
  const node = join(root, "node_modules/.bin/node");
  if (existsSync(node)) return node;
  if (process.versions.node.localeCompare("24.7", "en", { numeric: true }) >= 0) return process.execPath;
  throw new Error(
    `there is no packaged Node.js for ${process.platform}-${process.arch}: install Node.js 24.7 or newer`,
  );
}

function refuseUnwritable(root) {
  try {
    accessSync(root, constants.W_OK);
  } catch {
    throw new Error(`${root} may not be written by this user: packages and build belong there, so clone it anew`);
  }
}

/** npm hears a signal, and goes on installing. */
const PATIENCE_MS = 1_000;

/** A signal ends the step before it ends us: nothing of it goes on behind the terminal's back. */
async function runStep({ root, name, command, args }) {
  const child = spawn(command, args, { cwd: root, stdio: ["ignore", 2, 2] });
  let kill;
  const pass = (signal) => {
    child.kill(signal);
    kill ??= setTimeout(() => child.kill("SIGKILL"), PATIENCE_MS);
  };
  for (const one of ["SIGINT", "SIGTERM"]) process.on(one, pass);
  try {
    const [code] = await once(child, "exit");
    if (kill !== undefined) throw new Error(`${name} was interrupted; the same command goes on from here`);
    if (code !== 0) throw new Error(`${name} failed`);
  } finally {
    clearTimeout(kill);
    for (const one of ["SIGINT", "SIGTERM"]) process.off(one, pass);
  }
}

/** Whether every package that the lockfile names for this platform is there in its version. */
function isInstalled(root) {
  const installedPath = join(root, "node_modules/.package-lock.json");
  if (!existsSync(installedPath) || existsSync(join(root, "node_modules/.unfinished"))) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const there = JSON.parse(readFileSync(installedPath, "utf8")).packages;
  return Object.entries(wanted).every(([path, { version, optional, link }]) => {
    if (!path.includes("node_modules/") || optional || link) return true;
    return there[path]?.version === version;
  });
}

/** Two that install at once take each other's files away. */
function refuseBesideAnother(pid) {
  try {
    if (pid > 0) process.kill(pid, 0);
    else return;
  } catch (failure) {
    if (failure.code === "ESRCH") return;
  }
  throw new Error(`process ${pid} installs the packages here already: wait for it (or end it, if it is no install)`);
}

async function install(root) {
  const lockfile = join(root, "package-lock.json");
  const before = readFileSync(lockfile);
  const packages = join(root, "node_modules");
  // npm takes a package that it unpacked in half for a whole one: what was interrupted is begun anew.
  const unfinished = join(packages, ".unfinished");
  if (existsSync(unfinished)) {
    refuseBesideAnother(Number(readFileSync(unfinished, "utf8")));
    rmSync(packages, { recursive: true });
  }
  mkdirSync(packages, { recursive: true });
  writeFileSync(unfinished, `${process.pid}`);
  console.error("Installing packages (once) …");
  // The host's own Node.js may be older than what tools ask for: they run on the packaged one.
  await runStep({ root, name: "npm install", command: "npm", args: ["install", "--loglevel=error"] });
  rmSync(unfinished);
  if (readFileSync(lockfile).equals(before)) return;
  writeFileSync(lockfile, before);
  throw new Error("npm install would change package-lock.json, so it is not what was committed");
}
