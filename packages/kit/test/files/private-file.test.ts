import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { readPrivateFile, removeFile, writeFileAtomic } from "../../src/index.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const run = promisify(execFile);

test("a file is replaced whole, for its user alone, and nothing else stays in the directory", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "runs.json");
  await writeFileAtomic(path, "old");
  await writeFileAtomic(path, Buffer.from("new"));
  expect(await readFile(path, "utf8")).toBe("new");
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect(await readdir(place.path)).toEqual(["runs.json"]);
  await writeFileAtomic(path, "shown", { mode: 0o644 });
  expect((await stat(path)).mode & 0o777).toBe(0o644);
});

test("a write that fails leaves the old file and no temporary one", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "directory");
  await mkdir(path);
  await expect(writeFileAtomic(path, "x")).rejects.toMatchObject({
    code: "state.write_failed",
    cause: expect.objectContaining({ code: expect.stringMatching(/EISDIR|EEXIST|ENOTEMPTY/) }),
  });
  expect(await readdir(place.path)).toEqual(["directory"]);
  await expect(writeFileAtomic(join(place.path, "absent/file"), "x")).rejects.toMatchObject({
    code: "state.write_failed",
  });
});

test.runIf(process.getuid?.() === 0)("a full disk leaves the old content and says ENOSPC", async () => {
  await using place = await temporaryDirectory();
  const mount = join(place.path, "small");
  await mkdir(mount);
  await run("mount", ["-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", mount]);
  try {
    const path = join(mount, "runs.json");
    await writeFileAtomic(path, "old");
    await expect(writeFileAtomic(path, Buffer.alloc(1_048_576))).rejects.toMatchObject({
      code: "state.write_failed",
      detail: expect.stringContaining("ENOSPC"),
    });
    expect(await readdir(mount)).toEqual(["runs.json"]);
    expect(await readFile(path, "utf8")).toBe("old");
  } finally {
    await run("umount", [mount]);
  }
});

test.runIf(existsSync("/usr/bin/strace"))("a disk that fails to sync leaves the old content and says EIO", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "runs.json");
  await writeFileAtomic(path, "old");
  const source = new URL("../../src/index.ts", import.meta.url).href;
  const script = `import { writeFileAtomic } from ${JSON.stringify(source)};
    await writeFileAtomic(process.argv[1], "new").catch(({ code, detail }) => console.log(code, detail));`;
  const node = [process.execPath, "--input-type=module", "-e", script, path];
  const fault = ["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync:error=EIO", ...node];
  expect((await run("strace", fault)).stdout).toBe(`state.write_failed ${path}: i/o error (EIO).\n`);
  expect(await readFile(path, "utf8")).toBe("old");
  expect(await readdir(place.path)).toEqual(["runs.json"]);
});

test("concurrent writers leave one of the contents, never a mixture", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "file");
  const contents = Array.from({ length: 10 }, (_, index) => String(index).repeat(100_000));
  await Promise.all(contents.map((content) => writeFileAtomic(path, content)));
  expect(contents).toContain(await readFile(path, "utf8"));
  expect(await readdir(place.path)).toEqual(["file"]);
});

test("a private file is read only when it is a regular file that nobody else can read", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "key");
  expect(await readPrivateFile(path)).toBeUndefined();
  await writeFileAtomic(path, "k");
  expect((await readPrivateFile(path))?.toString()).toBe("k");
  await symlink(path, join(place.path, "link"));
  await run("mkfifo", ["-m", "600", join(place.path, "fifo")]);
  for (const name of ["link", "fifo", "."]) {
    await expect(readPrivateFile(join(place.path, name)), name).rejects.toMatchObject({ code: "state.unsafe_file" });
  }
  for (const mode of [0o640, 0o604, 0o620, 0o666]) {
    await chmod(path, mode);
    await expect(readPrivateFile(path)).rejects.toMatchObject({
      code: "state.unsafe_file",
      detail: expect.stringContaining("chmod 600"),
    });
  }
});

test("removing what is not there succeeds, removing a directory does not", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "file");
  await writeFile(path, "");
  await removeFile(path);
  await removeFile(path);
  await mkdir(path);
  await expect(removeFile(path)).rejects.toMatchObject({ code: "state.write_failed" });
});
