import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";
import { native } from "@gatehouse/kit";
import { CA_BUNDLE, FD, SANDBOX_OWN, type SandboxLaunch } from "../sandbox/driver.ts";
import { type ExitStatus, exitOf } from "./exit-status.ts";
import { childOf, commandAt, initBelow, sendSignal } from "./process-tree.ts";
import type { SandboxStreams } from "./sandbox-streams.ts";

/** A sandbox whose namespaces are there; its command waits for `release`. */
export interface SandboxProcess extends AsyncDisposable {
  /** Its first process, whose network namespace and root are the sandbox's; absent where there is no sandbox. */
  readonly initPid: number | undefined;
  readonly exited: Promise<ExitStatus>;
  /** Has it built to its end: its root is the sandbox's then. Fails with `sandbox.start_failed`. */
  complete(): Promise<void>;
  release(): void;
  /** Sends a signal to the command, not to its sandbox. */
  signal(name: NodeJS.Signals): void;
  /** Ends all of it at once. */
  kill(): void;
}

const BUILD_TIMEOUT_MS = 15_000;
const LOOK_EVERY_MS = 2;
const LAST_WORDS_MS = 500;

/** What a sandbox gets for its standard streams; with `errors` and `release` as `SandboxStreams` has them. */
interface SpawnStreams extends Partial<Pick<SandboxStreams, "errors" | "release">> {
  readonly stdio: readonly (SandboxStreams["stdio"][number] | "pipe")[];
}

/** Spawns a sandbox and waits until its namespaces can be entered. Fails with `sandbox.start_failed`. */
export async function spawnSandbox(
  launch: SandboxLaunch,
  streams: SpawnStreams,
): Promise<{ readonly child: ChildProcess; readonly sandbox: SandboxProcess }> {
  const isBuilt = launch.info !== undefined;
  if (native.available) native.withholdInheritedDescriptors();
  for (const { path, text } of launch.files) await writeFile(path, text, { mode: 0o600 });
  const child = spawn(launch.file, [...launch.args], {
    cwd: launch.cwd,
    env: launch.env,
    stdio: [...streams.stdio, ...Object.values(FD).map(() => "pipe" as const)],
  });
  streams.release?.();
  const errors = streams.errors ?? child.stderr;
  // Node throws away what nobody reads by a child's end, the reason why it ended among it.
  errors?.on("readable", () => undefined);
  const exited = exitOf(child);
  const failed = exited.then(({ code }) => {
    throw new Problem("sandbox.start_failed", { detail: `Building it ended with code ${code}.` });
  });
  failed.catch(() => undefined); // when it loses a race, the exit is an ordinary one
  // The number of a process that was waited for may be a stranger's by now.
  const isOver = () => child.exitCode !== null || child.signalCode !== null;
  const abandon = async (failure: unknown): Promise<never> => {
    // Its first process may wait on our pipe, whose end would release it: it goes first.
    if (!isOver()) for (const pid of [childOf(child.pid ?? 0), child.pid]) sendSignal(pid, "SIGKILL");
    await exited;
    throw await explain(failure, errors);
  };
  for (const { fd, data } of launch.feeds) feed(pipeOf(child, fd), data);
  const initPid = isBuilt ? await untilThere(child, launch, failed).catch(abandon) : undefined;
  const kill = () => {
    // The init's death takes its whole pid namespace along.
    if (!isOver()) sendSignal(initPid, "SIGKILL");
    child.kill("SIGKILL");
  };
  return {
    child,
    sandbox: {
      initPid,
      exited,
      complete: async () => {
        feed(pipeOf(child, FD.block), GO);
        if (initPid !== undefined) await untilRooted(initPid, failed).catch(abandon);
      },
      release: () => {
        for (const fd of [FD.block, FD.release]) feed(pipeOf(child, fd), GO);
      },
      signal: (name) => {
        const started = initPid === undefined ? child.pid : (childOf(initPid) ?? initPid);
        if (!isOver() && started !== undefined) sendSignal(commandAt(started, launch.isTerminal), name);
      },
      kill,
      [Symbol.asyncDispose]: async () => {
        kill();
        await exited;
      },
    },
  };
}

const GO = Buffer.from("go\n");

/** What the tool said last is why, where its words come to us and not to a person's own terminal. */
async function explain(failure: unknown, stderr: Readable | null): Promise<Problem> {
  const what = failure instanceof Problem ? (failure.detail ?? "") : "Building it took too long.";
  const said = stderr === null ? "" : await lastLine(stderr);
  return new Problem("sandbox.start_failed", { detail: `${what} ${said}`.trim(), cause: failure });
}

/** The process is gone, so that its pipe ends; a child of it that is not must hold nobody up. */
async function lastLine(stream: Readable): Promise<string> {
  const timer = setTimeout(() => stream.destroy(), LAST_WORDS_MS);
  let text = "";
  try {
    for await (const chunk of stream) text = (text + String(chunk)).slice(-2_000);
  } catch {
    // What came until then is what there is.
  }
  clearTimeout(timer);
  // Hints on what a tool said stand below it, indented.
  const said = text.split("\n").filter((line) => /^\S/.test(line));
  return (said.at(-1) ?? "").slice(0, 300);
}

/** Node types a child's first five descriptors alone; ours are pipes. */
function pipeOf(child: ChildProcess, fd: number): Writable | undefined {
  return (child.stdio as readonly unknown[])[fd] as Writable | undefined;
}

function feed(pipe: Writable | undefined, data: Buffer): void {
  if (pipe === undefined || pipe.writableEnded) return;
  pipe.on("error", () => pipe.destroy());
  pipe.end(data);
}

async function untilThere(child: ChildProcess, launch: SandboxLaunch, failed: Promise<never>): Promise<number> {
  const info = pipeOf(child, FD.info) as unknown as Readable;
  const deadline = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  // bubblewrap writes its object in pieces.
  const end = launch.info === "bubblewrap-json" ? "}" : "r";
  let text = "";
  while (!text.includes(end)) {
    const [chunk] = (await Promise.race([once(info, "data", { signal: deadline }), failed])) as [Buffer];
    text += chunk.toString();
  }
  info.resume();
  const pid =
    launch.info === "bubblewrap-json"
      ? (JSON.parse(text) as { readonly "child-pid"?: number })["child-pid"]
      : initBelow(child.pid ?? 0);
  if (pid === undefined) throw new Problem("sandbox.start_failed", { detail: "Its first process was not found." });
  return pid;
}

/** A sandbox has our own files at its root; the host has not. */
async function untilRooted(initPid: number, failed: Promise<never>): Promise<void> {
  const deadline = AbortSignal.timeout(BUILD_TIMEOUT_MS);
  while (!existsSync(`/proc/${initPid}/root${SANDBOX_OWN}/${CA_BUNDLE}`)) {
    await Promise.race([delay(LOOK_EVERY_MS, undefined, { signal: deadline }), failed]);
  }
}
