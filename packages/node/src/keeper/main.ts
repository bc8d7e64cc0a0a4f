// A keeper: parent of one sandbox, outside the daemon, so that a daemon's death costs a run nothing.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Lifetime, Problem, toProblem } from "@gatehouse/core";
import { removeFile, type TerminalSize } from "@gatehouse/kit";
import { callerEnvironment } from "../runs/sandbox-environment.ts";
import { launchSandbox } from "../sandbox/launch.ts";
import { attestPlaces } from "./attest-places.ts";
import { CallerStreams } from "./caller-streams.ts";
import type { ExitStatus } from "./exit-status.ts";
import { serveKeeper } from "./keeper-socket.ts";
import { type Launch, launchSchema } from "./launch-file.ts";
import { RecordedStreams } from "./recorded-streams.ts";
import { RecordedTerminal } from "./recorded-terminal.ts";
import { reportExited, reportStarted } from "./report.ts";
import { RunExecs } from "./run-execs.ts";
import { openPipedInput, type RunInput } from "./run-input.ts";
import { type SandboxProcess, spawnSandbox } from "./sandbox-process.ts";
import type { SandboxStreams } from "./sandbox-streams.ts";
import { stopProcess } from "./stop-process.ts";
import { type HeldListener, takeListener } from "./take-listener.ts";

/** Signals that go on to the command. The terminal's own keys reach it by its terminal. */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT"] as const;

process.exitCode = await keep(process.argv[2] ?? "");

async function keep(launchPath: string): Promise<number> {
  await using life = new Lifetime();
  let launch: Launch | undefined;
  try {
    launch = launchSchema.parse(JSON.parse(await readFile(launchPath, "utf8")));
    await removeFile(launchPath);
    const exit = await run(launch, life);
    // While the socket is there, nobody takes the run for one whose keeper died.
    await reportExited(launch, exit);
    return exit.code;
  } catch (failure) {
    const problem = toProblem(failure);
    process.stderr.write(`gatehouse: ${problem.message}\n`);
    await life[Symbol.asyncDispose]();
    if (launch !== undefined) await reportExited(launch, { code: 125, why: problem.message });
    return 125;
  }
}

async function run(launch: Launch, life: Lifetime): Promise<ExitStatus> {
  // Closed last: what the command said is in its pipes when it is gone.
  const { streams, input, resize } = openStreams(launch);
  if (input !== undefined) life.own(input);
  if (streams !== undefined) life.own(streams);
  const env = { ...callerEnvironment(launch.driver, process.env), ...launch.env };
  const { child, sandbox } = await spawnSandbox(
    launchSandbox(launch.driver, { ...launch, env, runtime: process.execPath }),
    streams ?? { stdio: ["inherit", "inherit", "inherit"] },
  );
  life.own(sandbox);
  if (!launch.isDetached) endWithCaller(sandbox);
  // Until the command runs there is nobody to pass a signal on to, and dying of it would leave the sandbox alone.
  let onSignal = (name: NodeJS.Signals) => {
    if (name !== "SIGWINCH" && name !== "SIGCONT") sandbox.kill();
  };
  for (const name of FORWARDED) process.on(name, () => onSignal(name));
  const listener = sandbox.initPid === undefined ? undefined : life.own(await openListenerOf(sandbox, sandbox.initPid));
  await sandbox.complete();
  if (sandbox.initPid !== undefined) attestPlaces(sandbox.initPid, launch.identities);
  streams?.follow();
  let state: "starting" | "running" | "exited" = "starting";
  const { runId } = launch;
  const known = { runId, pid: process.pid, startedAt: Date.now(), hasTerminal: resize !== undefined };
  const { initPid } = sandbox;
  const isRunning = () => state === "running";
  const execs = initPid === undefined ? undefined : new RunExecs({ launch: { ...launch, env }, initPid, isRunning });
  if (execs !== undefined) life.own(execs);
  life.own(
    await serveKeeper(join(launch.stateDir, "keepers", `${launch.keeper}.sock`), {
      hand: (name, send) => name === "listener" && handOut(listener, send),
      status: () => ({ ...known, state, inputOffset: input?.offset }),
      resize: (size) => {
        resize?.(size);
        // The terminal is that of no session, so that the kernel tells nobody.
        child.kill("SIGWINCH");
      },
      signal: (name) => sandbox.signal(name),
      give: async (piece) => (await input?.give(piece)) === true,
      stop: (graceMs) => stopProcess(sandbox, { graceMs, isTerminal: launch.isTerminal }),
      ...(execs === undefined ? {} : { exec: (name: string) => execs.start(name) }),
    }),
  );
  const isEarly = await Promise.race([reportStarted(launch, process.pid), sandbox.exited.then(() => true)]);
  if (isEarly) throw new Problem("sandbox.start_failed");
  onSignal = (name) => sandbox.signal(name);
  state = "running";
  sandbox.release();
  const exit = await sandbox.exited;
  state = "exited";
  // They end with it, and their ends are told before its own.
  await execs?.[Symbol.asyncDispose]();
  await streams?.[Symbol.asyncDispose]();
  return exit;
}

function handOut(listener: HeldListener | undefined, send: (fd: number) => void): boolean {
  if (listener !== undefined) send(listener.fd);
  return listener !== undefined;
}

interface RunStreams {
  readonly streams?: SandboxStreams;
  readonly input?: RunInput;
  readonly resize?: (size: TerminalSize) => void;
}

/** A detached run has none of the caller's; without a sandbox they are its own as everything else is. */
function openStreams({ isDetached, driver, runDir, takesInput, terminal }: Launch): RunStreams {
  if (isDetached && terminal !== undefined) {
    const streams = new RecordedTerminal(runDir, terminal);
    return { streams, input: streams.input, resize: (size) => streams.resize(size) };
  }
  if (isDetached) {
    const { fd, input } = takesInput ? openPipedInput(runDir) : {};
    return { streams: new RecordedStreams(runDir, fd), ...(input === undefined ? {} : { input }) };
  }
  return driver === "process" ? {} : { streams: new CallerStreams(runDir) };
}

async function openListenerOf(sandbox: SandboxProcess, initPid: number): Promise<HeldListener> {
  try {
    return await takeListener(initPid);
  } catch (failure) {
    // Of a sandbox that could not be built, what its tool said is the better reason.
    await sandbox.complete();
    throw failure;
  }
}

/** A foreground run belongs to the command line that started it and does not outlive it. */
function endWithCaller(sandbox: SandboxProcess): void {
  process.once("disconnect", () => sandbox.kill());
  // Nor does waiting for that keep the keeper.
  process.channel?.unref();
  if (process.channel !== undefined && !process.connected) sandbox.kill();
}
