import type { Readable } from "node:stream";
import type { DriverName } from "../src/sandbox/driver.ts";
import { shellJoined } from "./joined-command.ts";
import { type SandboxPlace, startIn } from "./sandbox-under-test.ts";
import { until } from "./until.ts";

/**
 * An agent's program: it stops the next process that comes into its namespace and, where that process has the given
 * first word, tries every way into it.
 */
export const LIE_IN_WAIT = `import ctypes, os, platform, sys, time
word, libc = sys.argv[1], ctypes.CDLL(None, use_errno=True)
number = lambda x64, arm64: x64 if platform.machine() == "x86_64" else arm64
def attempt(name, act):
  try: act(); print(name, "done")
  except OSError as failure: print(name, failure.strerror)
def call(*arguments):
  ctypes.set_errno(0)
  if libc.syscall(*arguments) < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
def pry(pid):
  at = "/proc/%d/" % pid
  attempt("exe", lambda: os.close(os.open(at + "exe", os.O_RDONLY)))
  attempt("exe for writing", lambda: os.close(os.open(at + "exe", os.O_WRONLY)))
  for name in ("cwd", "root"): attempt(name, lambda: os.listdir(at + name))
  for name in range(13): attempt("descriptor", lambda: os.close(os.open(at + "fd/%d" % name, os.O_RDONLY)))
  for name in ("environ", "maps", "mem", "auxv"): attempt(name, lambda: open(at + name, "rb").read(1))
  attempt("namespace", lambda: os.close(os.open(at + "ns/mnt", os.O_RDONLY)))
  attempt("ptrace", lambda: call(number(101, 117), 16, pid, 0, 0))
  attempt("seize", lambda: call(number(101, 117), 0x4206, pid, 0, 0))
  local = ctypes.create_string_buffer(8)
  vector = (ctypes.c_ulong * 2)(ctypes.addressof(local), 8)
  attempt("memory", lambda: call(number(310, 270), pid, vector, 1, vector, 1, ctypes.c_ulong(0)))
  attempt("pidfd", lambda: call(438, os.pidfd_open(pid), 0, 0))
def look(pid):
  try: return dict(line.split(":\\t", 1) for line in open("/proc/%d/status" % pid) if ":\\t" in line)
  except OSError: return {}
def first_word(pid):
  try: return open("/proc/%d/cmdline" % pid).read().split("\\0")[0]
  except OSError: return ""
print("watching", flush=True)
last = max(int(name) for name in os.listdir("/proc") if name.isdigit())
met, deadline = set(), time.time() + 60
while time.time() < deadline:
  for pid in range(last + 1, last + 32):
    try: os.kill(pid, 19)
    except OSError:
      if pid in met: last = pid
      continue
    met.add(pid)
    # It stops on its way back from the kernel, where it may be becoming the command.
    while not look(pid).get("State", "Z").startswith(("T", "Z")): pass
    if first_word(pid).startswith(word):
      before = look(pid)
      for name in ("CapEff", "NoNewPrivs", "Seccomp"): print(name + ":", before[name].strip())
      pry(pid)
      os.kill(pid, 18)
      print("caught", flush=True)
      # With its end that of the sandbox would come, in which what it caught is about to start.
      time.sleep(60)
    try: os.kill(pid, 18)
    except OSError: pass
`;

/** Runs a command in a sandbox until the test is over; what it says is gathered. */
export async function runIn(driver: DriverName, place: SandboxPlace, command: readonly string[]) {
  const { child, sandbox } = await startIn(driver, place, command);
  let said = "";
  for (const stream of [child.stdout, child.stderr]) {
    (stream as Readable).on("data", (chunk: Buffer) => {
      said += chunk.toString();
    });
  }
  await sandbox.complete();
  sandbox.release();
  return { sandbox, said: () => said, [Symbol.asyncDispose]: () => sandbox[Symbol.asyncDispose]() };
}

/** Runs further commands until the run caught one on its way in. Answers what it tried, line by line. */
export async function pryIntoJoined(driver: DriverName, place: SandboxPlace): Promise<readonly string[]> {
  await using run = await runIn(driver, place, ["python3", "-c", LIE_IN_WAIT, "gatehouse exec"]);
  await until(() => run.said().includes("watching\n"));
  const hasCaught = () => run.said().includes("caught\n");
  for (let round = 0; round < 200 && !hasCaught(); round += 1) await shellJoined(run.sandbox, place, ":");
  return await until(() => hasCaught() && run.said().trim().split("\n"));
}
