import type { Command } from "commander";
import { declare } from "./declare-command.ts";
import { withExamples } from "./help-pages.ts";

/** What looks after the organisation's signed list. */
export function addRosterCommands(org: Command): void {
  const roster = org.command("roster").description("look after the signed list of nodes and operators");
  declare(
    roster,
    "show",
    "say which roster this machine knows, which one the server shows, and whether one follows the other",
    async () => (await import("./commands/org-roster.ts")).show,
  )
    .option("--out <file>", "write the one that this machine knows to a file")
    .option("--json", "print JSON");
  const join = declare(
    roster,
    "join",
    "make one of two rosters that were signed apart; needs the organisation's key",
    async () => (await import("./commands/org-roster-join.ts")).join,
  )
    .option(
      "--other <file>",
      "a roster that another machine or a node knows (default: this machine's, with the server's)",
    )
    .option("--keep <list>", "nodes and keys that stay, though they stand on one alone, separated by commas")
    .option("--yes", "sign it without asking")
    .option("--json", "print JSON");
  withExamples(join, "org roster join", "org roster join --other n1-roster.json --keep n3,n4");
}
