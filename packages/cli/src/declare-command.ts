import type { Command } from "commander";
import type { Invocation } from "./invocation.ts";
import { addPlaces } from "./root-command.ts";

type Run = (invocation: Invocation) => Promise<number>;
/** Loads a command's module. Everything that a command needs is loaded when it is called, so that help is instant. */
export type Load = () => Promise<Run>;

/** Declares a command whose module is loaded when it is called. */
export function declare(parent: Command, name: string, ...[say, load]: readonly [string, Load]): Command {
  return addPlaces(parent.command(name).description(say))
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
