import { readdirSync, realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, sep } from "node:path";
import { Problem } from "@gatehouse/core";

/** Directories of Gatehouse itself; nothing of them is seen in a sandbox. */
export interface OwnDirectories {
  readonly stateDir: string;
  readonly configDir: string;
}

const SYSTEM = [
  "/bin",
  "/boot",
  "/dev",
  "/etc",
  "/lib",
  "/lib64",
  "/proc",
  "/root/.ssh",
  "/run",
  "/sbin",
  "/sys",
  "/usr",
  "/var/run",
  "/var/lib/docker",
];
const IN_HOME = [
  ".ssh",
  ".gnupg",
  ".aws",
  ".azure",
  ".config/gcloud",
  ".docker",
  ".kube",
  ".password-store",
  ".netrc",
  ".config/gh",
];
const TELLING =
  /^(?:\.env(?:\..+)?|\.npmrc|\.pypirc|\.netrc|\.git-credentials|id_(?:rsa|ed25519|ecdsa)|.*\.pem|.*\.key|credentials\.json)$/;

/** A directory that may be a workspace, resolved, and what to warn of. */
export interface CheckedWorkspace {
  readonly path: string;
  readonly warnings: readonly string[];
}

/** Resolves and checks a workspace. Fails with `sandbox.workspace_refused`, saying why. */
export function checkWorkspace(asked: string, own: OwnDirectories): CheckedWorkspace {
  const path = resolve(asked);
  const home = resolve(homedir());
  const hidden = [own.stateDir, own.configDir, ...IN_HOME.map((name) => join(home, name))].map(resolve);
  for (const secret of hidden) {
    if (isWithin(secret, path) || isWithin(path, secret)) throw refused(`It holds, or lies in, ${secret}.`);
  }
  for (const place of SYSTEM) if (isWithin(path, place)) throw refused(`It lies in ${place}.`);
  if (isWithin(home, path)) throw refused("It is, or holds, the home directory; use a directory inside.");
  if (path === sep) throw refused("It is the whole file system.");
  return { path, warnings: warnings(path) };
}

/** A read-only mount is checked as a workspace is. */
export function checkMount(asked: string, own: OwnDirectories): string {
  return checkWorkspace(asked, own).path;
}

function resolve(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith(sep) ? folder : folder + sep);
}

function warnings(path: string): readonly string[] {
  if (!statSync(path, { throwIfNoEntry: false })?.isDirectory()) throw refused("It is no directory.");
  const telling = readdirSync(path).filter((name) => TELLING.test(name));
  if (telling.length === 0) return [];
  return [`the workspace holds ${telling.slice(0, 5).join(", ")}: what lies in it, the run can read`];
}

function refused(detail: string): Problem {
  return new Problem("sandbox.workspace_refused", { detail });
}
