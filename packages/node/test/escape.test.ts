import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test, vi } from "vitest";
import { parseCreateRequest } from "../src/runs/create-request.ts";
import type { DriverName } from "../src/sandbox/driver.ts";
import { probeDriver } from "../src/sandbox/probe.ts";
import { openPlace, shellIn, startIn } from "./sandbox-under-test.ts";

const DRIVERS: readonly DriverName[] = ["bubblewrap", "unshare"];

/** Numbers of system calls by `uname -m`. */
const NUMBERS = `import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
machine = platform.machine()
number = lambda x64, arm64: x64 if machine == "x86_64" else arm64
def call(name, *arguments):
  ctypes.set_errno(0)
  result = libc.syscall(*arguments)
  print(name, "done" if result >= 0 else os.strerror(ctypes.get_errno()))
`;

const RESERVED_CALLS = `${NUMBERS}
call("add_key", number(248, 217), b"user", b"of-a-run", b"x", 1, -3)
call("keyctl", number(250, 219), 0, -3, 0)
call("request_key", number(249, 218), b"user", b"of-a-run", None, -3)
call("io_uring_setup", 425, 8, ctypes.create_string_buffer(120))
call("unshare", number(272, 97), 0x10000000)
call("openat2", 437, -100, b"/", ctypes.create_string_buffer(24), 24)
call("TIOCSTI", number(16, 29), 0, 0x5412, ctypes.create_string_buffer(b"x"))
`;

const TAKE_OVER = `${NUMBERS}
import time
call("ptrace", number(101, 117), 16, 1, 0, 0)
call("process_vm_writev", number(311, 271), 1, None, 0, None, 0, 0)
call("pidfd_open", 434, 1, 0)
for path in ("/proc/1/mem", "/proc/1/task/1/mem"):
  try: open(path, "r+b"); print(path, "opened")
  except OSError: pass
child = os.fork()
if child == 0: time.sleep(60)
call("ptrace of a child", number(101, 117), 16, child, 0, 0)
os.kill(child, 9)
`;

const MODES = `import os, stat
def attempt(name, act):
  try: act(); print(name, "done")
  except OSError as failure: print(name, failure.strerror)
open("plain", "w").close()
with open("plain") as opened:
  attempt("chmod", lambda: os.chmod("plain", 0o4755))
  attempt("setgid", lambda: os.chmod("plain", 0o2755))
  attempt("fchmod", lambda: os.fchmod(opened.fileno(), 0o4755))
  attempt("fchmodat", lambda: os.chmod("plain", 0o4755, dir_fd=os.open(".", os.O_RDONLY)))
attempt("open", lambda: os.open("made", os.O_CREAT | os.O_WRONLY, 0o4755))
attempt("tmpfile", lambda: os.open(".", os.O_TMPFILE | os.O_WRONLY, 0o4755))
attempt("mkdir", lambda: os.mkdir("folder", 0o2755))
attempt("mknod", lambda: os.mknod("node", stat.S_IFREG | 0o4755))
attempt("device", lambda: os.mknod("device", stat.S_IFCHR | 0o666, os.makedev(1, 3)))
attempt("ordinary", lambda: os.chmod("plain", 0o1755))
attempt("created", lambda: os.close(os.open("other", os.O_CREAT | os.O_WRONLY, 0o755)))
`;

const python = (script: string) => `python3 - <<'END'\n${script}\nEND`;

for (const driver of DRIVERS) {
  const probe = await probeDriver(driver);
  describe(`a run by ${driver}`, { skip: !probe.ok }, () => {
    test("has no capability in its bounding set either, and runs under a filter with its init", async () => {
      await using place = await openPlace();
      const { out } = await shellIn(driver, place, "grep -E '^(CapBnd|Seccomp):' /proc/self/status");
      expect(out).toBe("CapBnd:\t0000000000000000\nSeccomp:\t2\n");
    });

    test("reaches no keys, rings, namespaces or terminals of others through the kernel", async () => {
      await using place = await openPlace();
      const { out, err } = await shellIn(driver, place, python(RESERVED_CALLS));
      expect(out.trim().split("\n"), err).toEqual([
        "add_key Operation not permitted",
        "keyctl Operation not permitted",
        "request_key Operation not permitted",
        "io_uring_setup Operation not permitted",
        "unshare Operation not permitted",
        "openat2 Function not implemented",
        "TIOCSTI Operation not permitted",
      ]);
    });

    test("is told nothing of the machine's keys and memory", async () => {
      await using place = await openPlace();
      const { out } = await shellIn(
        driver,
        place,
        "cat /proc/keys /proc/key-users /proc/slabinfo /proc/kpageflags 2>/dev/null | wc -c",
      );
      expect(out).toBe("0\n");
      expect(readFileSync("/proc/key-users", "utf8")).not.toBe(""); // the control
    });

    test("leaves no setuid or setgid file and no device behind, whoever owns the workspace", async () => {
      await using place = await openPlace();
      const { out, err } = await shellIn(driver, place, python(MODES));
      const refused = ["chmod", "setgid", "fchmod", "fchmodat", "open", "tmpfile", "mkdir", "mknod", "device"];
      expect(out.trim().split("\n"), err).toEqual([
        ...refused.map((name) => `${name} Operation not permitted`),
        "ordinary done",
        "created done",
      ]);
      const made = readdirSync(place.workspace).sort();
      expect(made).toEqual(["other", "plain"]);
      for (const name of made) expect(statSync(join(place.workspace, name)).mode & 0o6000).toBe(0);
      // The control: outside, the same calls do what they say.
      const outside = execFileSync("python3", ["-c", MODES], { cwd: place.directory, encoding: "utf8" });
      expect(outside).toContain("chmod done\n");
    });

    test("sees pipes end and files full as programs do that Node did not start", async () => {
      await using place = await openPlace();
      const { out } = await shellIn(driver, place, "grep SigIgn /proc/self/status; yes | head -n 1");
      expect(out).toBe("SigIgn:\t0000000000000000\ny\n");
    });

    test("sees no process of the host and signals none, and its init ignores it", async () => {
      await using place = await openPlace();
      const script = `for pid in 1 ${process.pid} ${process.ppid}; do kill -KILL $pid 2>/dev/null; kill -STOP $pid 2>/dev/null; done
        cat /proc/${process.pid}/environ 2>/dev/null; ls -d /proc/[0-9]* | wc -l`;
      const { out, code } = await shellIn(driver, place, script);
      expect(Number(out)).toBeLessThan(8);
      expect(code).toBe(0);
    });

    test("takes its init over by no debugger, so that it ends when its command does", async () => {
      await using place = await openPlace();
      const { out, code } = await shellIn(driver, place, `${python(TAKE_OVER)}\nexit 3`);
      expect(out.trim().split("\n")).toEqual([
        "ptrace Operation not permitted",
        "process_vm_writev Operation not permitted",
        "pidfd_open Operation not permitted",
        "ptrace of a child done",
      ]);
      expect(code).toBe(3);
    });

    test("is signalled no more once it is over: its process's number may be a stranger's", async () => {
      await using place = await openPlace();
      const { sandbox } = await startIn(driver, place, ["true"]);
      sandbox.release();
      await sandbox.exited;
      const kill = vi.spyOn(process, "kill");
      sandbox.signal("SIGTERM");
      sandbox.kill();
      await sandbox[Symbol.asyncDispose]();
      expect(kill).not.toHaveBeenCalled();
      kill.mockRestore();
    });
  });
}

describe("a request for a run is refused", () => {
  const good = { command: ["true"], workspace: "/srv/work" };
  test.each([
    ["a variable's value", { env: { A: "x\0--bind\0/\0/host" } }],
    ["an argument", { command: ["echo", "a\0b"] }],
    ["the workspace", { workspace: "/srv/work\0/etc" }],
    ["a mount", { mounts: ["/srv/a\0/etc"] }],
  ])("with a NUL in %s, which would begin another argument", (_, part) => {
    expect(() => parseCreateRequest({ ...good, ...part })).toThrowError(
      expect.objectContaining({ code: "api.malformed", detail: expect.stringContaining("NUL") }),
    );
  });

  test.each([{ workspace: "work" }, { mounts: ["../x"] }])("whose path depends on where the daemon is: %j", (part) => {
    expect(() => parseCreateRequest({ ...good, ...part })).toThrowError(
      expect.objectContaining({ code: "api.malformed", detail: expect.stringContaining("absolute") }),
    );
  });
});
