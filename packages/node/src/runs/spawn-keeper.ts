import { spawn } from "node:child_process";
import { childEnvironment, resolveEntry } from "@gatehouse/kit";

const NODE_FLAGS = ["--disable-sigusr1"];

/** Starts the keeper of a detached run in a session of its own; it outlives the daemon. Resolves with its exit code. */
export function spawnDetachedKeeper(launchPath: string): Promise<number> {
  const child = spawn(process.execPath, [...NODE_FLAGS, resolveEntry("keeper"), launchPath], {
    detached: true,
    stdio: "ignore",
    env: childEnvironment(),
  });
  child.unref();
  return exitOf(child);
}

/** Signals that a terminal or a supervisor sends to the command line; the keeper passes them on. */
const FORWARDED = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const;

/**
 * Starts the keeper of a foreground run with this process's own streams, and resolves with the command's exit code.
 * On a terminal the keys' signals reach it by the terminal; otherwise they are passed on.
 */
export async function startForegroundKeeper(launch: {
  readonly path: string;
  readonly isTerminal: boolean;
}): Promise<number> {
  const child = spawn(process.execPath, [...NODE_FLAGS, resolveEntry("keeper"), launch.path], {
    // The channel carries nothing: its end tells the keeper that the command line is gone, even by SIGKILL.
    stdio: ["inherit", "inherit", "inherit", "ipc"],
    // Without a terminal of its own a session of its own: else Ctrl-C would reach the command twice.
    detached: !launch.isTerminal,
    env: childEnvironment(),
  });
  const onSignal = (name: NodeJS.Signals) => child.kill(name);
  for (const name of FORWARDED) process.on(name, onSignal);
  try {
    return await exitOf(child);
  } finally {
    for (const name of FORWARDED) process.off(name, onSignal);
  }
}

function exitOf(child: ReturnType<typeof spawn>): Promise<number> {
  return new Promise((resolve) => {
    child.once("error", () => resolve(125));
    child.once("exit", (code) => resolve(code ?? 125));
  });
}
