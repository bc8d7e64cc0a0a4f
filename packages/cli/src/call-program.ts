import { type Command, CommanderError } from "commander";

/** What `run` fails with by itself: its other codes are the command's own, 2 among them. */
export const OWN_FAILURE = 125;
const WRONG_USAGE = 2;
/** As shells say it of a command that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;

/** Carries out what the command line asks for. */
export async function callProgram(program: Command): Promise<void> {
  let called = "";
  program.hook("preSubcommand", (_, subcommand) => {
    called ||= subcommand.name();
  });
  try {
    await program.parseAsync();
  } catch (failure) {
    // Commander has printed what is wrong; its own codes for help and version are no failures.
    if (!(failure instanceof CommanderError)) throw failure;
    const failed = called === "run" ? OWN_FAILURE : WRONG_USAGE;
    process.exitCode = failure.exitCode === 0 ? 0 : failed;
  }
}
