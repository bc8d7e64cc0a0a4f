import { type ChildProcess, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { Problem } from "@gatehouse/core";
import { native } from "@gatehouse/kit";
import { JOIN_FD, JOINED, type JoinSpec, launchJoiner } from "../sandbox/join.ts";
import { isInstalled } from "../sandbox/probe.ts";
import { toolEnvironment, untilParentDies } from "../sandbox/wrap-command.ts";
import { type ExitStatus, exitOf } from "./exit-status.ts";
import type { RunNamespaces } from "./open-namespaces.ts";
import { childOf, commandAt, sendSignal } from "./process-tree.ts";

/** A further command in a sandbox that runs. Disposing ends it. */
export interface JoinedProcess extends AsyncDisposable {
  readonly exited: Promise<ExitStatus>;
  signal(name: NodeJS.Signals): void;
  kill(): void;
}

/**
 * What it gets for its standard streams; `release` is called when it has them. None is a file or device of the host's:
 * a descriptor of one leads to it by another way than the run's own mounts.
 */
export interface JoinedStreams {
  readonly stdio: readonly ("inherit" | "ignore" | number)[];
  release(): void;
}

/**
 * Runs a command in the namespaces of a run, with no more than the run's command has. Returns when it has given up its
 * rights and become the command's shell. Fails with `exec.start_failed`, `exec.unsupported`.
 */
export async function spawnJoined(
  spec: Omit<JoinSpec, "umask">,
  namespaces: RunNamespaces,
  streams: JoinedStreams,
): Promise<JoinedProcess> {
  if (streams.stdio.some((stream) => typeof stream !== "number")) throw new Error("a stream of the host's own");
  if (!isInstalled("perl")) throw new Problem("exec.unsupported", { detail: "perl is not installed on the node." });
  native.withholdInheritedDescriptors();
  const { umask } = namespaces;
  const { file, args, data } = launchJoiner({ ...spec, umask });
  const [tool = "", ...words] = untilParentDies([file, ...args]);
  const { owner, cgroup, ipc, uts, net, mnt, pid, user } = namespaces;
  const child = spawn(tool, words, {
    cwd: "/",
    env: toolEnvironment(),
    stdio: [...streams.stdio, "pipe", "pipe", owner, cgroup, ipc, uts, net, mnt, pid, user],
  });
  streams.release();
  const exited = exitOf(child);
  const input = pipeOf(child, JOIN_FD.args) as Writable;
  // Where it ended before, what it said is why.
  input.on("error", () => input.destroy());
  input.end(data);
  const said = await text(pipeOf(child, JOIN_FD.info) as Readable);
  if (said !== JOINED) {
    child.kill("SIGKILL");
    await exited;
    throw new Problem("exec.start_failed", { detail: said.replace(JOINED, "").trim().slice(0, 200) });
  }
  // The number of a process that was waited for may be a stranger's by now.
  const startedPid = () => (child.exitCode === null && child.signalCode === null ? childOf(child.pid ?? 0) : undefined);
  const signal = (name: NodeJS.Signals) => {
    const started = startedPid();
    if (started !== undefined) sendSignal(commandAt(started, spec.isTerminal), name);
  };
  const kill = () => {
    const started = startedPid();
    // Its parent waits for it, and ends by itself then.
    if (started === undefined) child.kill("SIGKILL");
    else sendSignal(started, "SIGKILL");
  };
  return {
    exited,
    signal,
    kill,
    [Symbol.asyncDispose]: async () => {
      kill();
      await exited;
    },
  };
}

/** Node types a child's first five descriptors alone; ours are pipes. */
function pipeOf(child: ChildProcess, fd: number): unknown {
  return (child.stdio as readonly unknown[])[fd];
}
