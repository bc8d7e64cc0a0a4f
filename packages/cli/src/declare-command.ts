import type { Command } from "commander";
import type { Invocation } from "./invocation.ts";

type Run = (invocation: Invocation) => Promise<number>;
/** Loads a command's module. Everything that a command needs is loaded when it is called, so that help is instant. */
export type Load = () => Promise<Run>;

/** Declares a command whose module is loaded when it is called. */
export function declare(parent: Command, name: string, ...[say, load]: readonly [string, Load]): Command {
  return parent
    .command(name)
    .description(say)
    .option("--state-dir <dir>", "where the daemon keeps its state (GATEHOUSE_STATE_DIR)")
    .option("--config <file>", "configuration file")
    .exitOverride()
    .action(async (...given: unknown[]) => {
      const { callCommand } = await import("./call-command.ts");
      process.exitCode = await callCommand(given.at(-1) as Command, await load());
    });
}

/** For options that may be repeated. */
export function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
