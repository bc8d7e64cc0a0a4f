// Every command of `gatehouse`.
import { callProgram } from "./call-program.ts";
import { commandTree } from "./command-tree.ts";

const [asked, ...words] = process.argv.slice(2);

if (asked === "__complete") {
  // Asked by the scripts of `gatehouse completion` at each press of a key: nothing of a command is loaded.
  const { complete } = await import("./completion/complete.ts");
  process.stdout.write(await complete(commandTree(), words));
} else await callProgram(commandTree());
