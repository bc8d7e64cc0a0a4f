import { type Command, Option } from "commander";
import { declare } from "./declare-command.ts";
import { withExamples } from "./help-pages.ts";

/** What nodes were told to do is looked at, and taken back, with these. */
export function addQueueCommands(program: Command): void {
  const commands = program.command("commands").description("look at what nodes were told to do, and take it back");
  const load = () => import("./commands/sent-commands.ts");
  declare(commands, "ls", "list commands, the newest first", async () => (await load()).listSent)
    .option("--waiting", "those alone that have no end yet")
    .option("--node <node>", "those for this node alone")
    .addOption(new Option("--batch <id>", "instead: all of this batch").conflicts(["waiting", "node", "limit"]))
    .option("-n, --limit <number>", "at most so many", "100")
    .option("--json", "print JSON");
  const cancel = declare(
    commands,
    "cancel",
    "take commands back that were not sent to their nodes yet",
    async () => (await load()).cancelSent,
  )
    .argument("<command...>", "their ids")
    .option("--json", "print JSON");
  withExamples(cancel, "commands ls --waiting", "commands cancel 0197d3f2-7c1e-7a40-9b0e-5f6d2c8a1b34");
}
