import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { childEnvironment, type IpcPeer, openIpcPeer, requestUnix, resolveEntry } from "@gatehouse/kit";
import { isAlive } from "@gatehouse/testbed";
import type { DaemonCalls, GateCalls, GateConfig, GateNotes, StartRun } from "../../src/holder/gate-protocol.ts";

// biome-ignore lint/complexity/noBannedTypes: the gate is told nothing
type Nothing = {};

/** A state directory in which key-holders live one after the other. */
export interface HolderState extends AsyncDisposable {
  readonly directory: string;
  file(name: string): string;
  /** Starts the built key-holder as the daemon does. Fails as its start fails. */
  start(how?: HowToStart): Promise<HolderProcess>;
}

export interface HowToStart {
  /** A program and its arguments that start the key-holder with what follows them: a tracer, a namespace. */
  readonly inside?: readonly string[];
  readonly config?: Partial<GateConfig>;
  /** Gets the process before it is asked to open. */
  readonly onForked?: (child: ChildProcess) => void;
}

/** A real key-holder with real workers, and this process as its daemon. */
export interface HolderProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  readonly output: { text: string };
  call<M extends keyof GateCalls>(method: M, params: GateCalls[M]["params"]): Promise<GateCalls[M]["result"]>;
  request(method: string, path: string, body?: unknown): Promise<{ readonly status: number; readonly body: unknown }>;
  workerPids(): Promise<readonly number[]>;
  kill(): Promise<void>;
}

export async function openHolderState(): Promise<HolderState> {
  const root = await mkdtemp(join(tmpdir(), "gh-holder-"));
  const directory = join(root, "state");
  await mkdir(directory, { mode: 0o700 });
  const started: HolderProcess[] = [];
  return {
    directory,
    file: (name) => join(directory, name),
    start: async (how = {}) => {
      const holder = await startHolder(directory, how);
      started.push(holder);
      return holder;
    },
    [Symbol.asyncDispose]: async () => {
      for (const holder of started) await holder[Symbol.asyncDispose]();
      await rm(root, { recursive: true, force: true });
    },
  };
}

async function startHolder(
  directory: string,
  { inside = [], config = {}, onForked }: HowToStart,
): Promise<HolderProcess> {
  const [program = process.execPath, ...before] = inside;
  const child = fork(resolveEntry("gate-holder"), [], {
    execPath: program,
    execArgv: [...before, ...(inside.length > 0 ? [process.execPath] : []), "--disable-sigusr1"],
    env: childEnvironment(),
    serialization: "advanced",
    stdio: ["ignore", "pipe", "pipe", "ipc"],
  });
  onForked?.(child);
  const output = { text: "" };
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on("data", (part: Buffer) => {
      output.text += part.toString();
    });
  }
  const peer: IpcPeer<GateCalls, Nothing> = openIpcPeer<DaemonCalls, GateCalls, GateNotes>(child, {
    letGo: () => null,
    takeBack: () => null,
    shutdownRequested: () => undefined,
    empty: () => undefined,
  });
  const stop = async (signal: NodeJS.Signals) => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    // A tracer goes when what it traces is gone; were it killed, that would go on.
    if (inside.length === 0) child.kill(signal);
    else if (holderPid === undefined) child.disconnect();
    else if (await isAlive(holderPid)) process.kill(holderPid, signal);
    await gone;
  };
  let holderPid: number | undefined;
  try {
    await peer.call("open", { ...configOf(directory), ...config }, { timeoutMs: 15_000 });
    holderPid = (await peer.call("status", null)).pid;
  } catch (failure) {
    await stop("SIGKILL");
    throw failure;
  }
  return {
    child,
    output,
    call: (method, params) => peer.call(method, params, { timeoutMs: 15_000 }),
    request: (method, path, body) => requestUnix({ socketPath: join(directory, "daemon.sock"), method, path, body }),
    workerPids: async () => (await peer.call("status", null)).workers.flatMap(({ pid }) => pid ?? []),
    kill: () => stop("SIGKILL"),
    [Symbol.asyncDispose]: () => stop("SIGTERM"),
  };
}

function configOf(stateDir: string): GateConfig {
  return {
    stateDir,
    port: 0,
    listen: [],
    engines: [],
    workers: 2,
    emptyAfterMs: 300_000,
    predecessor: undefined,
    stalenessBoundMs: 900_000,
    endsWhenEmpty: false,
    upstreamCaFile: undefined,
    hosts: {},
    connectTimeoutMs: 2_000,
    upstreamTimeoutMs: 5_000,
    idleTimeoutMs: 60_000,
    exposesCredentials: false,
    recordsMaxBytes: 1_000_000,
    recordsMaxFiles: 4,
    logLevel: "debug",
    logFormat: "json",
    commit: "test",
  };
}

/** A run in a sandbox of its own, whose keeper is named. */
export function sandboxRun(fields: Partial<StartRun> = {}): StartRun {
  return {
    runId: "run-1",
    agent: "agent",
    project: "project",
    grants: [],
    policy: { mode: "strict" },
    isExposed: false,
    keeper: "0011223344556677",
    ...fields,
  };
}
