import { type Command, Option } from "commander";
import { collect, declare, type Load } from "./declare-command.ts";
import { withExamples } from "./help-pages.ts";

const DRIVERS = ["bubblewrap", "unshare", "process"];

/** Declares `gatehouse run`, which stands in the whole tree and in a program of its own. */
export function declareRun(program: Command, load: Load): Command {
  const run = declare(program, "run", "run a command in a sandbox", load)
    .argument("<command...>", "the command and its arguments, after --")
    .option("--node <nodes>", "run on a node of your organisation: the first of these names that is connected")
    .option("--grant <grant>", "let the run use a grant (repeat)", collect, [])
    .option("--allow <host>", "let the run reach host or host:port (repeat)", collect, [])
    .option("--policy <file>", "strict, permissive, or a policy file", "strict")
    .addOption(new Option("--driver <driver>", "how the sandbox is built").choices(DRIVERS))
    .option("--env <name=value>", "set a variable in the run (repeat)", collect, [])
    .option("--mount <dir>", "show a directory read-only in the run (repeat)", collect, [])
    .option("--workspace <dir>", "directory that the run may read and write (default: this one)")
    .option("--project <name>", "project of the agent's name (default: the workspace's)")
    .option("--agent <name>", "agent's name (default: the command's)")
    .option("-d, --detach", "return once it runs; its output goes to `gatehouse logs`")
    .option("--json", "with --detach: print the run as JSON")
    .option("-v, --verbose", "say how the sandbox is built, and which hosts the grants opened")
    .passThroughOptions();
  return withExamples(
    run,
    "run --grant github -- claude",
    "run --allow registry.npmjs.org -- npm install",
    "run -d --policy policy.yaml --env CI=1 -- ./build.sh",
    "run --node n1 --grant github -- gh pr list",
  );
}
