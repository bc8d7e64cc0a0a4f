import { join } from "node:path";
import { Problem, toProblem } from "@gatehouse/core";
import { type Config, loadConfig, requireStateDirectory } from "@gatehouse/kit";
import type { Command, OptionValues } from "commander";
import { awaitGate } from "./await-gate.ts";
import { ownFailureOf } from "./call-program.ts";
import type { Invocation } from "./invocation.ts";
import { isOperators } from "./operator/is-operators.ts";
import { requireOutFile } from "./require-out-file.ts";
import { reportFailure } from "./terminal/report-failure.ts";

/** Commands, or groups of them, that ask nothing of a daemon, or start one. */
const WITHOUT_DAEMON: ReadonlySet<string> = new Set([
  "up",
  "run",
  "doctor",
  "demo",
  "version",
  "config",
  "completion",
  "policy test",
  "policy lint",
  "policy ls",
  "policy show",
  "policy apply",
  "policy history",
  "policy assign",
  "policy rm",
  "audit",
  "credentials reseal",
  "server",
  "org",
  "nodes",
  "node",
  "login",
  "logout",
  "members",
  "api-keys",
]);

/** Commands that answer some of what they are asked where no daemon ever was. */
const OFTEN_WITHOUT: ReadonlySet<string> = new Set(["policy explain"]);

/** Commands that ask a server where the state directory is an operator's, else the daemon. */
const OF_EITHER: ReadonlySet<string> = new Set(["credentials", "revoke"]);

const NO_DIRECTORY = "/nonexistent";

/** Reads the configuration, runs a command and turns what it throws into one readable line and an exit code. */
export async function callCommand(command: Command, run: (invocation: Invocation) => Promise<number>): Promise<number> {
  const { name, group, path } = namesOf(command);
  try {
    const options = { ...rootOf(command).opts(), ...command.opts() };
    if (typeof options.out === "string") await requireOutFile(options.out);
    const settings = name === "doctor" ? readAnyConfig(options) : { config: readConfig(options, process.env) };
    const stateDir = settings.config.state.dir;
    const asksServer = OF_EITHER.has(group) && isOperators(settings);
    const asksNobody = WITHOUT_DAEMON.has(group) || WITHOUT_DAEMON.has(path);
    if (!asksNobody) {
      await requireStateDirectory(stateDir).catch((failure: unknown) => {
        const isAbsent = failure instanceof Problem && failure.code === "daemon.unreachable";
        if (!isAbsent || !OFTEN_WITHOUT.has(path)) throw failure;
      });
      if (!asksServer) await awaitGate(stateDir);
    }
    return await run({ args: command.args, options, ...settings, socketPath: join(stateDir, "daemon.sock") });
  } catch (failure) {
    const exitCode = ownFailureOf(group);
    return reportFailure(failure, {
      group,
      command: path,
      asked: command.args[0],
      ...(exitCode === undefined ? {} : { exitCode }),
    });
  }
}

function namesOf(command: Command) {
  const name = command.name();
  if (command.parent?.parent === null) return { name, group: name, path: name };
  const group = command.parent?.name() ?? "";
  return { name, group, path: `${group} ${name}` };
}

/** What stands before the command's name counts as if it stood behind it. */
function rootOf(command: Command): Command {
  return command.parent === null ? command : rootOf(command.parent);
}

function readConfig(options: OptionValues, env: NodeJS.ProcessEnv): Config {
  return loadConfig({
    ...(typeof options.config === "string" ? { file: options.config } : {}),
    env,
    flags: {
      ...(typeof options.stateDir === "string" ? { "state.dir": options.stateDir } : {}),
      ...(typeof options.gatePort === "string" ? { "gate.port": options.gatePort } : {}),
    },
  });
}

/** With the defaults where the configuration is wrong, so that it is one finding beside others. */
function readAnyConfig(options: OptionValues): Pick<Invocation, "config" | "configFault"> {
  try {
    return { config: readConfig(options, process.env) };
  } catch (failure) {
    const { HOME, XDG_STATE_HOME } = process.env;
    const env = { HOME, XDG_STATE_HOME, XDG_CONFIG_HOME: NO_DIRECTORY };
    return { config: readConfig({ stateDir: options.stateDir }, env), configFault: toProblem(failure) };
  }
}
