import { chmod, mkdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { defaultConfigFile, defaultStateDir, openStateDirectory, requireStateDirectory } from "../../src/index.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

test("a state directory that is not there is created for its user alone", async () => {
  await using place = await temporaryDirectory();
  const state = await openStateDirectory(join(place.path, "a", "b"));
  expect((await stat(state.path)).mode & 0o777).toBe(0o700);
  expect(await state.directory("keepers")).toBe(join(state.path, "keepers"));
  expect((await stat(state.file("keepers"))).mode & 0o777).toBe(0o700);
  await expect(openStateDirectory(state.path)).resolves.toMatchObject({ path: state.path });
});

test("a place where nothing can be created is refused, and not tried for ever", async () => {
  await expect(openStateDirectory("/proc/gatehouse/state")).rejects.toMatchObject({
    code: "state.write_failed",
    detail: expect.stringContaining("/proc/gatehouse cannot be created"),
  });
});

test("a symbolic link, a file and an open directory are refused and left as they are", async () => {
  await using place = await temporaryDirectory();
  const real = join(place.path, "real");
  await mkdir(real, { mode: 0o700 });
  await symlink(real, join(place.path, "link"));
  await writeFile(join(place.path, "file"), "");
  await expect(openStateDirectory(join(place.path, "link"))).rejects.toMatchObject({
    code: "state.unsafe_directory",
    detail: expect.stringContaining("symbolic link"),
  });
  await expect(openStateDirectory(join(place.path, "file"))).rejects.toMatchObject({ code: "state.unsafe_directory" });
  await expect(openStateDirectory(join(place.path, "file/below"))).rejects.toMatchObject({
    code: "state.unsafe_directory",
  });
  for (const mode of [0o755, 0o770, 0o701, 0o500]) {
    await chmod(real, mode);
    await expect(openStateDirectory(real)).rejects.toMatchObject({ code: "state.unsafe_directory" });
    expect((await stat(real)).mode & 0o777).toBe(mode);
  }
});

test("a directory above in which any user may put another in its place is refused, by its clients too; with the sticky bit it is none", async () => {
  await using place = await temporaryDirectory();
  const above = join(place.path, "above");
  const real = join(above, "real");
  await mkdir(real, { recursive: true, mode: 0o700 });
  await symlink(above, join(place.path, "link"));
  await openStateDirectory(join(real, "state"));
  await chmod(above, 0o777);
  for (const path of [join(real, "state"), join(real, "new"), join(place.path, "link/real/state")]) {
    await expect(openStateDirectory(path)).rejects.toMatchObject({
      code: "state.unsafe_directory",
      detail: expect.stringContaining(`run: chmod o-w ${path.startsWith(above) ? above : join(place.path, "link")}`),
    });
  }
  await expect(requireStateDirectory(join(real, "state"))).rejects.toMatchObject({ code: "state.unsafe_directory" });
  await chmod(above, 0o1777);
  await openStateDirectory(join(real, "state"));
  await requireStateDirectory(join(real, "state"));
});

test.runIf(process.getuid?.() === 0)("another user's directory is refused, also to root", async () => {
  await using place = await temporaryDirectory();
  const { chown } = await import("node:fs/promises");
  const path = join(place.path, "theirs");
  await mkdir(path, { mode: 0o700 });
  await chown(path, 12_345, 12_345);
  await expect(openStateDirectory(path)).rejects.toMatchObject({
    code: "state.unsafe_directory",
    detail: expect.stringContaining("another user"),
  });
});

test("a path that leaves no room for a socket's name is refused before anything is created", async () => {
  await using place = await temporaryDirectory();
  const longest = 107 - "/keepers/0123456789abcdef.sock".length;
  const fits = place.path.padEnd(longest - 1, "/x");
  const exact = `${place.path}/${"x".repeat(longest - place.path.length - 1)}`;
  await expect(openStateDirectory(`${exact}x`)).rejects.toMatchObject({ code: "config.socket_path_too_long" });
  await expect(stat(`${exact}x`)).rejects.toThrow("ENOENT");
  expect(Buffer.byteLength((await openStateDirectory(exact)).path)).toBe(longest);
  expect(fits.length).toBeLessThanOrEqual(longest);
});

test("names below the state directory cannot climb out of it", async () => {
  await using place = await temporaryDirectory();
  const state = await openStateDirectory(join(place.path, "s"));
  for (const name of ["../x", "a/../../x", "/etc/passwd", ".", "..", "", "a//b", "a/.", "a\0b"]) {
    expect(() => state.file(name), name).toThrow();
  }
  expect(state.file("runs/0123/output.log")).toBe(join(state.path, "runs/0123/output.log"));
});

test("default places follow XDG and ignore relative paths", () => {
  expect(defaultStateDir({ XDG_STATE_HOME: "/s", HOME: "/h" })).toBe("/s/gatehouse");
  expect(defaultStateDir({ XDG_STATE_HOME: "s", HOME: "/h" })).toBe("/h/.local/state/gatehouse");
  expect(defaultConfigFile({ HOME: "/h" })).toBe("/h/.config/gatehouse/config.yaml");
  expect(defaultConfigFile({ XDG_CONFIG_HOME: "/c", HOME: "/h" })).toBe("/c/gatehouse/config.yaml");
});
