import { type Command, CommanderError } from "commander";

const OWN_FAILURE = 125;
const WRONG_USAGE = 2;
/** As shells say it of a command that Ctrl-C ended. */
export const EXIT_INTERRUPTED = 130;

/** What `run` and `exec` fail with by themselves: their other codes are the command's own, 2 among them. */
export function ownFailureOf(command: string | undefined): number | undefined {
  return command === "run" || command === "exec" ? OWN_FAILURE : undefined;
}

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
    const failed = ownFailureOf(called) ?? WRONG_USAGE;
    process.exitCode = failure.exitCode === 0 ? 0 : failed;
  }
}
