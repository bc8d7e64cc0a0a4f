import { type Command, CommanderError } from "commander";

/** Carries out what the command line asks for. */
export async function callProgram(program: Command): Promise<void> {
  try {
    await program.parseAsync();
  } catch (failure) {
    // Commander has printed what is wrong; its own codes for help and version are no failures.
    if (!(failure instanceof CommanderError)) throw failure;
    process.exitCode = failure.exitCode === 0 ? 0 : 2;
  }
}
