import { join } from "node:path";
import { loadConfig } from "@gatehouse/kit";
import type { Command } from "commander";
import { awaitGate } from "./await-gate.ts";
import type { Invocation } from "./invocation.ts";
import { reportFailure } from "./terminal/report-failure.ts";

/** Commands that ask nothing of a daemon, or start one. */
const WITHOUT_DAEMON: ReadonlySet<string> = new Set([
  "up",
  "run",
  "doctor",
  "demo",
  "version",
  "show",
  "completion",
  "test",
  "lint",
]);

/** Reads the configuration, runs a command and turns what it throws into one readable line and an exit code. */
export async function callCommand(command: Command, run: (invocation: Invocation) => Promise<number>): Promise<number> {
  const name = command.name();
  try {
    const options = command.opts();
    const config = loadConfig({
      ...(typeof options.config === "string" ? { file: options.config } : {}),
      env: process.env,
      flags: {
        ...(typeof options.stateDir === "string" ? { "state.dir": options.stateDir } : {}),
        ...(typeof options.gatePort === "string" ? { "gate.port": options.gatePort } : {}),
      },
    });
    if (!WITHOUT_DAEMON.has(name)) await awaitGate(config.state.dir);
    return await run({ args: command.args, options, config, socketPath: join(config.state.dir, "daemon.sock") });
  } catch (failure) {
    // The codes of `run` are the command's own, so its failures share one that commands hardly use.
    return reportFailure(failure, name === "run" ? 125 : undefined);
  }
}
