// The `gatehouse` command.
import { CommanderError } from "commander";
import { commandTree } from "./command-tree.ts";

const [asked, ...words] = process.argv.slice(2);

if (asked === "__complete") {
  // Asked by the scripts of `gatehouse completion` at each press of a key: nothing of a command is loaded.
  const { complete } = await import("./completion/complete.ts");
  process.stdout.write(await complete(commandTree(), words));
} else await callProgram();

async function callProgram(): Promise<void> {
  try {
    await commandTree().parseAsync();
  } catch (failure) {
    // Commander has printed what is wrong; its own codes for help and version are no failures.
    if (!(failure instanceof CommanderError)) throw failure;
    process.exitCode = failure.exitCode === 0 ? 0 : 2;
  }
}
