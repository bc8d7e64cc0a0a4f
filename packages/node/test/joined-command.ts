import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { Socket } from "node:net";
import { buffer } from "node:stream/consumers";
import { exitOf } from "../src/keeper/exit-status.ts";
import { spawnJoined } from "../src/keeper/joined-process.ts";
import { makePipe } from "../src/keeper/make-pipe.ts";
import { openNamespaces, type RunNamespaces } from "../src/keeper/open-namespaces.ts";
import type { SandboxProcess } from "../src/keeper/sandbox-process.ts";
import { SANDBOX_HOME, SANDBOX_PATH } from "../src/sandbox/driver.ts";
import type { SandboxPlace } from "./sandbox-under-test.ts";

async function withNamespaces<T>(sandbox: SandboxProcess, use: (held: RunNamespaces) => Promise<T>): Promise<T> {
  const heldInit = openSync(`/proc/${sandbox.initPid}`, "r");
  try {
    using namespaces = await openNamespaces(sandbox.initPid ?? 0, heldInit);
    return await use(namespaces);
  } finally {
    closeSync(heldInit);
  }
}

/** Runs a further command in a sandbox that runs, with the variables that `startIn` gave. */
export function startJoined(
  sandbox: SandboxProcess,
  place: SandboxPlace,
  { command, workdir = place.workspace }: { readonly command: readonly string[]; readonly workdir?: string },
) {
  return withNamespaces(sandbox, async (namespaces) => {
    const [input, out, err] = [
      makePipe(place.runDir, "write"),
      makePipe(place.runDir, "read"),
      makePipe(place.runDir, "read"),
    ];
    closeSync(input.write);
    const stdio = [input.read, out.write, err.write];
    const env = { PATH: SANDBOX_PATH, HOME: SANDBOX_HOME, MARK: "asked-for", PWD: workdir };
    const spec = { command, workdir, env, isTerminal: false };
    const release = () => stdio.map((fd) => closeSync(fd));
    const joined = await spawnJoined(spec, namespaces, { stdio, release });
    const [stdout, stderr] = [out, err].map(({ read }) => buffer(new Socket({ fd: read, writable: false })));
    return { joined, stdout, stderr };
  });
}

/** Runs a shell script so to its end. */
export async function shellJoined(sandbox: SandboxProcess, place: SandboxPlace, script: string, workdir?: string) {
  const command = ["/bin/sh", "-c", script];
  const started = await startJoined(sandbox, place, workdir === undefined ? { command } : { command, workdir });
  await using joined = started.joined;
  const [out, err, { code }] = await Promise.all([started.stdout, started.stderr, joined.exited]);
  return { out: String(out), err: String(err), code };
}

/** The control: a command that comes in by tools, with the user and the namespaces alone. */
export function joinCarelessly(sandbox: SandboxProcess): Promise<AsyncDisposable> {
  return withNamespaces(sandbox, async ({ owner, cgroup, ipc, uts, net, mnt, pid, user }) => {
    const shared = ["user", "cgroup", "ipc", "uts", "net", "mount", "pid"];
    const into = shared.map((name, at) => `--${name}=/proc/self/fd/${at + 3}`);
    const inner = ["nsenter", "--user=/proc/self/fd/10", "--preserve-credentials", "--", "sleep", "60"];
    const child = spawn("nsenter", [...into, "--preserve-credentials", "--", ...inner], {
      stdio: ["ignore", "ignore", "ignore", owner, cgroup, ipc, uts, net, mnt, pid, user],
    });
    const exited = exitOf(child);
    return {
      // The command itself ends with the sandbox.
      [Symbol.asyncDispose]: async () => {
        child.kill("SIGKILL");
        await exited;
      },
    };
  });
}
