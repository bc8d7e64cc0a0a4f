import { spawnSync } from "node:child_process";
import { lstatSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveEntry } from "@gatehouse/kit";
import { afterAll, describe, expect, test } from "vitest";
import { commandIn } from "./command-under-test.ts";

const directory = mkdtempSync(join(tmpdir(), "gatehouse-cli-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const gatehouse = commandIn(directory);

describe("help", () => {
  const COMMANDS = [
    "up",
    "run",
    "ls",
    "logs",
    "stop",
    "grant",
    "revoke",
    "trace",
    "doctor",
    "demo",
    "version",
    "credentials",
    "config",
    "policy",
    "completion",
  ];

  test("names every command and ends with 0", () => {
    const { code, out } = gatehouse(["--help"]);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(out).toMatch(new RegExp(`^  ${name} `, "m"));
  });

  test.each(COMMANDS)("of %s says what it takes", (name) => {
    expect(gatehouse([name, "--help"])).toMatchObject({ code: 0, out: expect.stringContaining(`gatehouse ${name}`) });
  });

  test("is there at once", () => {
    const times = Array.from({ length: 5 }, () => {
      const began = performance.now();
      gatehouse(["--help"]);
      return performance.now() - began;
    });
    // 100 ms on a quiet machine; other tests run beside this one.
    expect(Math.min(...times)).toBeLessThan(250);
  });
});

test("says where things are before or behind a command's name; behind it counts", () => {
  const place = join(directory, "elsewhere");
  const asked = (...args: string[]) => gatehouse([...args, "--json"]).out;
  const show = ["config", "show"];
  expect(asked("--state-dir", place, ...show)).toContain(place);
  expect(asked("--state-dir", "/nowhere", ...show, "--state-dir", place)).toBe(asked(...show, "--state-dir", place));
  expect(gatehouse(["--state-dir", place, "run", "--no-such-option"]).code).toBe(125);
});

describe("a failure says what was asked for, and what to do", () => {
  test.each([
    [
      ["run", "--allow", "https://a.test", "--", "true"],
      "gatehouse: --allow takes host or host:port, not https://a.test.",
    ],
    [
      ["run", "--env", "1X=secret", "--", "true"],
      "gatehouse: --env takes NAME=VALUE; a name has letters, digits and _, no digit first: not 1X.\n",
    ],
    [["run", "--state-dir", "", "--", "true"], "--state-dir must be of type: path."],
    [["run", "--policy", "/dev/zero", "--", "true"], "gatehouse: /dev/zero is larger than 1048576 bytes.\n"],
    [["help", "nope"], "gatehouse: unknown command 'nope'\n"],
    [["nodes", "help", "nope"], "gatehouse: unknown command 'nope'\n"],
    [["run", "--policy", "none.yaml", "--", "true"], "none.yaml cannot be read: no such file or directory (ENOENT)."],
    [["ls"], "state is not there.\n  next: gatehouse up"],
    [["nodes", "ls"], "next: gatehouse login, or gatehouse org init"],
    [
      ["org", "init", "--server", "https://127.0.0.1:1", "--org", "Acme Inc", "--owner", "ada"],
      "gatehouse: --org takes a name: it starts with a lower-case letter or digit and has at most 63 of a-z, 0-9, '.', '_', '-'.\n",
    ],
    [["members", "add", "Bob", "--role", "viewer"], "gatehouse: MEMBER takes a name: "],
    [["nodes", "enroll-code", "--name", "N 1"], "gatehouse: --name takes a name: "],
    [["commands", "cancel", "nope"], "gatehouse: nope is no command's id: gatehouse commands ls shows them.\n"],
  ])("%j", (args, said) => {
    expect(gatehouse(args).err).toContain(said);
  });
});

describe("exit codes", () => {
  test.each([
    ["an unknown command", ["no-such-command"], 2],
    ["an audit export that is none", ["audit", "verify", process.execPath], 2],
    ["an unknown option", ["ls", "--no-such-option"], 2],
    ["a missing argument", ["logs"], 2],
    ["two ways to choose commands", ["commands", "ls", "--waiting", "--batch", "b"], 2],
    ["a setting that is not known", ["config", "show", "--config", "/dev/null/none"], 2],
    ["no daemon", ["ls"], 6],
    ["a daemon that cannot be started, for a run", ["run", "--state-dir", "/dev/null/state", "--", "true"], 125],
    ["a variable without a value", ["run", "--env", "X", "--", "true"], 125],
    ["a value without a host", ["credentials", "add", "x", "--value-file", "-"], 2],
  ])("%s", (_, args, code) => {
    const done = gatehouse(args, "value");
    expect(done.code).toBe(code);
    expect(done.err).not.toMatch(/\n\s+at /);
  });

  test("without a daemon the way out is named", () => {
    expect(gatehouse(["ls"]).err).toContain("gatehouse up");
  });
});

test("a value on the command line is refused", () => {
  const { code, err } = gatehouse(["grant", "github", "ghp_value_on_the_command_line"]);
  expect(code).toBe(2);
  expect(err).not.toContain("ghp_value_on_the_command_line");
});

test("settings are shown with where they came from", () => {
  const file = join(directory, "config.yaml");
  writeFileSync(file, "gate:\n  workers: 3\n");
  const rows = JSON.parse(gatehouse(["config", "show", "--config", file, "--json"]).out);
  expect(rows).toContainEqual({ key: "gate.workers", value: 3, source: "file" });
  expect(rows).toContainEqual(expect.objectContaining({ key: "state.dir", source: "environment" }));
  writeFileSync(file, "gate:\n  workres: 3\n");
  expect(gatehouse(["config", "show", "--config", file])).toMatchObject({
    code: 2,
    err: expect.stringContaining("workers"),
  });
});

test("doctor proves a driver and says so in JSON", () => {
  const { out } = gatehouse(["doctor", "--json"]);
  const { ok, checks } = JSON.parse(out);
  expect(ok).toBe(true);
  expect(checks).toContainEqual(expect.objectContaining({ name: "driver-unshare", ok: true }));
});

test("a command whose reader went away ends as others do, without a word", () => {
  const script = '{ "$0" "$@"; echo "rc $?" >&2; } | true';
  const args = ["-c", script, process.execPath, resolveEntry("gatehouse"), "--help"];
  const { stderr } = spawnSync("bash", args, { encoding: "utf8" });
  expect(stderr).toBe("rc 141\n");
});

test("what it prints and cannot be written is said in a line", () => {
  const args = ["-c", '"$0" "$@" > /dev/full; echo "rc $?" >&2', process.execPath, resolveEntry("gatehouse"), "--help"];
  const { stderr } = spawnSync("bash", args, { encoding: "utf8" });
  expect(stderr).toBe("gatehouse: The output cannot be written: no space left on device.\nrc 1\n");
});

test("a file to write is looked at before anything is done, and what is no file is not replaced", () => {
  const pipe = join(directory, "pipe");
  const link = join(directory, "link");
  spawnSync("mkfifo", [pipe]);
  symlinkSync("elsewhere", link);
  const asked = (out: string) => gatehouse(["api-keys", "create", "--label", "x", "--role", "viewer", "--out", out]);
  for (const out of [pipe, link]) {
    const err = expect.stringContaining(`${out} is something else, and would be replaced`);
    expect(asked(out), out).toMatchObject({ code: 2, out: "", err });
  }
  expect(asked(join(directory, "none", "x")).err).toContain("cannot be written: no such file or directory (ENOENT)");
  expect(asked("-").code).toBe(2);
  expect(lstatSync(pipe).isFIFO() && lstatSync(link).isSymbolicLink()).toBe(true);
});
