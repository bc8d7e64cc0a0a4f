import { execFile } from "node:child_process";
import { copyFile, mkdir, mkdtemp, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type { DockerEngine } from "@gatehouse/testbed";

const execute = promisify(execFile);
/** What the image expects of its base, beside Node.js: a shell, coreutils, util-linux; and bubblewrap, if it is there. */
const PROGRAMS = [
  ...["sh", "cat", "chmod", "chown", "cp", "env", "ln", "ls", "mkdir", "mv", "rm", "rmdir", "touch", "true"],
  ...["bwrap", "mount", "nsenter", "setpriv", "umount", "unshare"],
];
const SYSTEM_PROGRAMS = ["pivot_root"];

/** Imports an image to build on, put together from this machine's own programs: no registry is asked. */
export async function importBase(engine: DockerEngine, name: string): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), "gh-base-"));
  try {
    const root = join(directory, "root");
    await install(root, process.execPath, "/usr/local/bin/node");
    for (const program of PROGRAMS) await install(root, `/usr/bin/${program}`, `/usr/bin/${program}`);
    for (const program of SYSTEM_PROGRAMS) await install(root, `/usr/sbin/${program}`, `/usr/sbin/${program}`);
    await symlink("usr/bin", join(root, "bin"));
    for (const place of ["dev", "etc", "proc", "sys", "tmp"]) await mkdir(join(root, place), { mode: 0o1777 });
    await writeFile(join(root, "etc", "passwd"), "root:x:0:0::/:/bin/sh\n");
    const archive = join(directory, "base.tar");
    await execute("tar", ["-C", root, "-cf", archive, "."]);
    await engine.docker("import", archive, name);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

/** Copies a program with the libraries that it is linked to. */
async function install(root: string, program: string, target: string): Promise<void> {
  const { stdout } = await execute("ldd", [program]).catch(() => ({ stdout: "" }));
  const libraries = [...stdout.matchAll(/(\/\S+)/g)].map(([path]) => path);
  for (const [from, to] of [[program, target] as const, ...libraries.map((path) => [path, path] as const)]) {
    await mkdir(dirname(join(root, to)), { recursive: true });
    await copyFile(await realpath(from), join(root, to));
  }
}
