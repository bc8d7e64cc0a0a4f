import { type SpawnOptions, spawn } from "node:child_process";

/** What a finished process left behind. */
export interface Finished {
  /** 128 + n when a signal ended it, as shells count. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunProcessOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Written to standard input, which is then closed. */
  readonly stdin?: string;
  /** The process is killed after this; default 60,000. */
  readonly timeoutMs?: number;
}

const SIGNALS: Readonly<Partial<Record<NodeJS.Signals, number>>> = {
  SIGHUP: 1,
  SIGINT: 2,
  SIGABRT: 6,
  SIGKILL: 9,
  SIGSEGV: 11,
  SIGTERM: 15,
};

/** Runs a program to its end. Rejects only when it cannot be started. */
export function runProcess(
  command: string,
  args: readonly string[],
  options: RunProcessOptions = {},
): Promise<Finished> {
  const { stdin = "", timeoutMs = 60_000, cwd, env } = options;
  const how: SpawnOptions = { stdio: "pipe", timeout: timeoutMs, killSignal: "SIGKILL" };
  const child = spawn(command, [...args], {
    ...how,
    ...(cwd === undefined ? {} : { cwd }),
    ...(env === undefined ? {} : { env: { ...env } }),
  });
  const output = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name]?.setEncoding("utf8").on("data", (text: string) => {
      output[name] += text;
    });
  }
  // A process that ends without reading its input breaks the pipe; that is its own business.
  child.stdin?.on("error", () => undefined).end(stdin);
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => {
      resolve({ code: code ?? 128 + (signal === null ? 0 : (SIGNALS[signal] ?? 0)), ...output });
    });
  });
}
