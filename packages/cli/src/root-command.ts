import { Command } from "commander";

const VERSION = "0.1.0";

/** The `gatehouse` command without any of its subcommands. */
export function rootCommand(): Command {
  return new Command("gatehouse")
    .description("Runs AI agents in sandboxes whose only way out is a gate that attaches their credentials.")
    .version(VERSION, "-V, --version", "print the version")
    .enablePositionalOptions()
    .showHelpAfterError("(add --help for what it takes)")
    .exitOverride();
}
