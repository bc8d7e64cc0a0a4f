import { type AddHelpTextContext, Command, Option } from "commander";
import { EVERYWHERE, HELP, MACHINE } from "./help-pages.ts";

const VERSION = "0.1.0";

/** Where a command finds what it works on; taken before the command's name too. */
const PLACES = [
  ["--state-dir <dir>", "where this machine keeps its state (GATEHOUSE_STATE_DIR; default: ~/.local/state/gatehouse)"],
  ["--config <file>", "configuration file (default: ~/.config/gatehouse/config.yaml, if it is there)"],
] as const;

/** The `gatehouse` command without any of its subcommands. */
export function rootCommand(): Command {
  const root = new Command("gatehouse")
    .description("Runs AI agents in sandboxes whose only way out is a gate that attaches their credentials.")
    .configureHelp(HELP)
    .version(VERSION, "-V, --version", "print the version")
    .addHelpOption(new Option("-h, --help", "print this page").helpGroup(EVERYWHERE))
    .enablePositionalOptions()
    .addHelpCommand(new Command("help").argument("[command]").description("print a command's page").helpGroup(MACHINE))
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "gatehouse: ")) })
    .addHelpText("afterAll", sayUnknown)
    .showHelpAfterError("  next: add --help for what it takes")
    .exitOverride();
  return addPlaces(root);
}

/** Below the page that `help` prints for a command which is not there. */
function sayUnknown({ command, error }: AddHelpTextContext): string {
  const [asked, name] = command.args;
  return error && asked === "help" && name !== undefined ? `\ngatehouse: unknown command '${name}'` : "";
}

/** Adds what every command takes. */
export function addPlaces(command: Command): Command {
  for (const [flags, say] of PLACES) command.addOption(new Option(flags, say).helpGroup(EVERYWHERE));
  return command;
}
