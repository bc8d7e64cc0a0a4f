import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { constants } from "node:os";
import type { Readable, Writable } from "node:stream";
import { Problem } from "@gatehouse/core";
import { native } from "@gatehouse/kit";
import { FD, type SandboxLaunch } from "../sandbox/driver.ts";

/** How a command ended, as a shell would say it. */
export interface ExitStatus {
  /** 128 + n when a signal ended it. */
  readonly code: number;
}

/** A sandbox that is built; its command waits for `release`. */
export interface SandboxProcess extends AsyncDisposable {
  /** The process whose network namespace is the sandbox's; absent without one. */
  readonly initPid: number | undefined;
  readonly exited: Promise<ExitStatus>;
  release(): void;
  /** Sends a signal to the command, not to its sandbox. */
  signal(name: NodeJS.Signals): void;
  /** Ends all of it at once. */
  kill(): void;
}

const BUILD_TIMEOUT_MS = 15_000;

/** Spawns a sandbox and waits until it is built. Fails with `sandbox.start_failed`, saying what the tool said. */
export async function spawnSandbox(
  launch: SandboxLaunch,
  stdio: readonly ("inherit" | "pipe" | "ignore")[],
): Promise<{ readonly child: ChildProcess; readonly sandbox: SandboxProcess }> {
  const isBuilt = launch.info !== undefined;
  if (native.available) native.withholdInheritedDescriptors();
  for (const { path, text } of launch.files) await writeFile(path, text, { mode: 0o600 });
  const child = spawn(launch.file, [...launch.args], {
    cwd: launch.cwd,
    env: launch.env,
    stdio: [...stdio, ...Object.values(FD).map(() => "pipe" as const)],
  });
  const exited = new Promise<ExitStatus>((resolve) => {
    child.once("error", () => resolve({ code: 125 }));
    child.once("exit", (code, signal) =>
      resolve({ code: code ?? 128 + (signal === null ? 0 : constants.signals[signal]) }),
    );
  });
  const abandon = async (failure: unknown): Promise<never> => {
    // Its first process waits on our pipe, whose end would release it: it goes first.
    for (const pid of [childOf(child.pid ?? 0), child.pid]) sendSignal(pid, "SIGKILL");
    await exited;
    throw failure;
  };
  for (const { fd, data } of launch.feeds) feed(pipeOf(child, fd), data);
  const initPid = isBuilt ? await untilBuilt(child, launch, exited).catch(abandon) : undefined;
  const target = () => (initPid === undefined ? child.pid : (childOf(initPid) ?? initPid));
  const kill = () => {
    // The init's death takes its whole pid namespace along.
    if (initPid !== undefined) sendSignal(initPid, "SIGKILL");
    child.kill("SIGKILL");
  };
  return {
    child,
    sandbox: {
      initPid,
      exited,
      release: () => {
        for (const fd of [FD.block, FD.release]) feed(pipeOf(child, fd), Buffer.from("go\n"));
      },
      signal: (name) => sendSignal(target(), name),
      kill,
      [Symbol.asyncDispose]: async () => {
        kill();
        await exited;
      },
    },
  };
}

/** Node types a child's first five descriptors alone; ours are pipes. */
function pipeOf(child: ChildProcess, fd: number): Writable | undefined {
  return (child.stdio as readonly unknown[])[fd] as Writable | undefined;
}

function feed(pipe: Writable | undefined, data: Buffer): void {
  pipe?.on("error", () => pipe.destroy());
  pipe?.end(data);
}

async function untilBuilt(child: ChildProcess, launch: SandboxLaunch, exited: Promise<ExitStatus>): Promise<number> {
  const info = pipeOf(child, FD.info) as unknown as Readable;
  const deadline = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  let text = "";
  const failed = exited.then(({ code }) => {
    throw new Problem("sandbox.start_failed", { detail: `Building it ended with code ${code}.` });
  });
  failed.catch(() => undefined); // when it loses the race, the exit is an ordinary one
  // bubblewrap writes its object in pieces.
  const end = launch.info === "bubblewrap-json" ? "}" : "r";
  while (!text.includes(end)) {
    const [chunk] = (await Promise.race([once(info, "data", { signal: deadline }), failed])) as [Buffer];
    text += chunk.toString();
  }
  info.resume();
  const pid =
    launch.info === "bubblewrap-json"
      ? (JSON.parse(text) as { readonly "child-pid"?: number })["child-pid"]
      : findInit(child.pid ?? 0);
  if (pid === undefined) throw new Problem("sandbox.start_failed", { detail: "Its first process was not found." });
  return pid;
}

/** The sandbox's init: the only descendant that leads a pid namespace of its own. */
function findInit(ancestor: number): number | undefined {
  for (let pid: number | undefined = ancestor; pid !== undefined; pid = childOf(pid)) {
    if (leadsNamespace(pid)) return pid;
  }
  return undefined;
}

function leadsNamespace(pid: number): boolean {
  try {
    const ids = /^NSpid:\s+(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]?.split(/\s+/) ?? [];
    return ids.length > 1 && ids.at(-1) === "1";
  } catch {
    return false;
  }
}

function childOf(pid: number): number | undefined {
  try {
    const first = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")[0];
    return first === undefined || first === "" ? undefined : Number(first);
  } catch {
    return undefined;
  }
}

function sendSignal(pid: number | undefined, name: NodeJS.Signals): void {
  try {
    if (pid !== undefined && pid > 1) process.kill(pid, name);
  } catch {
    // It ended meanwhile: that is what a signal is for.
  }
}
