import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { homedir, tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { checkMount, checkWorkspace, ownPrograms } from "../src/runs/workspace.ts";
import { runTool } from "./sandbox-under-test.ts";

let directory = "";
const own = () => ({
  stateDir: join(directory, "state"),
  configDir: join(directory, "config"),
  sockets: [join(directory, "agents/ssh.sock")],
  programs: [join(directory, "checkout/dist")],
});

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-workspace-"));
  for (const name of ["state", "state/inner", "config", "agents", "work"]) await mkdir(join(directory, name));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe("a workspace is refused", () => {
  test.each(["", "state", "state/inner", "config", "agents"])(
    "that holds, is or lies in Gatehouse's own: %j",
    (name) => {
      expect(() => checkWorkspace(join(directory, name), own())).toThrowError(
        expect.objectContaining({ code: "sandbox.workspace_refused" }),
      );
    },
  );

  test.each([
    "/",
    "/etc",
    "/usr/share",
    "/proc",
    "/dev/shm",
    "/run",
    "/home",
    "/opt",
    "/root",
    "/srv",
    "/usr",
    "/var",
    "/var/lib",
    "/var/log",
    "/var/tmp",
    tmpdir(),
    homedir(),
    join(homedir(), ".."),
    join(homedir(), ".ssh"),
  ])("that is a place of the system or of the user: %s", (path) => {
    expect(() => checkWorkspace(path, own())).toThrowError(
      expect.objectContaining({ code: "sandbox.workspace_refused" }),
    );
  });

  test("that is a link to one of them", async () => {
    await symlink(join(directory, "state"), join(directory, "work/link"));
    expect(() => checkWorkspace(join(directory, "work/link"), own())).toThrowError(
      expect.objectContaining({ code: "sandbox.workspace_refused" }),
    );
  });

  test("that holds the programs of Gatehouse, which it may well show", async () => {
    await mkdir(join(directory, "checkout/dist/inner"), { recursive: true });
    for (const name of ["checkout", "checkout/dist", "checkout/dist/inner"]) {
      expect(() => checkWorkspace(join(directory, name), own())).toThrowError(
        expect.objectContaining({ detail: expect.stringContaining("a part of Gatehouse that a run could change") }),
      );
      expect(checkMount(join(directory, name), own()).path).toBe(join(directory, name));
    }
  });

  test("where the command of a user keeps compiled code, or could be led to", async () => {
    const before = process.env.HOME;
    process.env.HOME = directory;
    try {
      await mkdir(join(directory, "work/caches"));
      await symlink(join(directory, "work/caches"), join(directory, ".cache"));
      const programs = ownPrograms();
      const refused = expect.objectContaining({ code: "sandbox.workspace_refused" });
      const places = { ...own(), programs };
      for (const name of ["work", "work/caches"]) {
        expect(() => checkWorkspace(join(directory, name), places)).toThrowError(refused);
      }
      await mkdir(join(directory, "work/caches/gatehouse/inner"), { recursive: true });
      for (const name of ["work/caches/gatehouse", "work/caches/gatehouse/inner"]) {
        expect(() => checkWorkspace(join(directory, name), places)).toThrowError(refused);
      }
      await mkdir(join(directory, "work/caches/other"));
      expect(checkWorkspace(join(directory, "work/caches/other"), places).path).toContain("other");
      expect(programs).toContain(join(userInfo().homedir, ".cache/gatehouse"));
    } finally {
      process.env.HOME = before;
    }
  });

  test("that is not there, or a file", async () => {
    await writeFile(join(directory, "work/file"), "");
    for (const name of ["work/none", "work/file"]) {
      expect(() => checkWorkspace(join(directory, name), own())).toThrowError(
        expect.objectContaining({ code: "sandbox.workspace_refused" }),
      );
    }
  });
});

test("a workspace is resolved, and links and files that tell secrets are warned of", async () => {
  await symlink(join(directory, "work"), join(directory, "link"));
  await writeFile(join(directory, "work/.env"), "");
  await writeFile(join(directory, "work/readme.md"), "");
  const { path, warnings } = checkWorkspace(join(directory, "link"), own());
  expect(path).toBe(join(directory, "work"));
  expect(warnings).toEqual([`${join(directory, "link")} leads to ${path}`, expect.stringContaining(".env")]);
  expect(checkWorkspace(`${path}/`, own()).warnings).toHaveLength(1);
});

test("a directory is known by what it is, whatever a mount calls it", () => {
  const fixture = join(import.meta.dirname, "fixtures/check-through-mounts.ts");
  const done = runTool(["unshare", "-Urm", process.execPath, fixture, directory]);
  expect(done.stdout.trim().split("\n"), done.stderr).toEqual([
    "alias of the state: refused",
    "alias of what holds the state: refused",
    "below an alias of the state: refused",
    "holds a mount of the state: refused",
    "holds a mount of nothing hidden: accepted",
  ]);
});
