// The `gatehouse` command. Everything that a command needs is loaded when it is called, so that help is instant.
import { Command, CommanderError } from "commander";
import type { Invocation } from "./invocation.ts";

const VERSION = "0.1.0";

type Run = (invocation: Invocation) => Promise<number>;

const program = new Command("gatehouse")
  .description("Runs AI agents in sandboxes whose only way out is a gate that attaches their credentials.")
  .version(VERSION, "-V, --version", "print the version")
  .enablePositionalOptions()
  .showHelpAfterError("(add --help for what it takes)")
  .exitOverride();

/** Declares a command whose module is loaded when it is called. */
function declare(
  parent: Command,
  usage: string,
  { say, load }: { readonly say: string; readonly load: () => Promise<Run> },
): Command {
  return parent
    .command(usage)
    .description(say)
    .option("--state-dir <dir>", "where the daemon keeps its state (GATEHOUSE_STATE_DIR)")
    .option("--config <file>", "configuration file")
    .exitOverride()
    .action(async (...given: unknown[]) => {
      const { callCommand } = await import("./call-command.ts");
      process.exitCode = await callCommand(given.at(-1) as Command, await load());
    });
}

function command(usage: string, say: string, load: () => Promise<Run>): Command {
  return declare(program, usage, { say, load });
}

command("up", "start the daemon and the gate, and stay", async () => (await import("./commands/up.ts")).up)
  .option("--json", "print one ready line as JSON")
  .option("--gate-port <port>", "loopback port of the gate (0: any free one)");
command("run", "run a command in a sandbox", async () => (await import("./commands/run.ts")).run)
  .argument("<command...>", "the command and its arguments, after --")
  .option("--grant <name>", "let the run use a grant (repeat)", collect, [])
  .option("--allow <host>", "let the run reach host or host:port (repeat)", collect, [])
  .option("--policy <policy>", "strict, permissive, or a policy file", "strict")
  .option("--driver <driver>", "bubblewrap, unshare or process")
  .option("--env <name=value>", "set a variable in the run (repeat)", collect, [])
  .option("--mount <dir>", "show a directory read-only in the run (repeat)", collect, [])
  .option("--workspace <dir>", "directory that the run may read and write (default: this one)")
  .option("--project <name>", "project of the agent's name (default: the workspace's)")
  .option("--agent <name>", "agent's name (default: the command's)")
  .option("-d, --detach", "return once it runs; its output goes to `gatehouse logs`")
  .option("--json", "with --detach: print the run as JSON")
  .option("-v, --verbose", "say which hosts the grants opened")
  .passThroughOptions();
command("ls", "list runs", async () => (await import("./commands/ls.ts")).ls).option("--json", "print JSON");
command("logs", "print what a detached run wrote", async () => (await import("./commands/logs.ts")).logs)
  .argument("<run>", "run id")
  .option("-f, --follow", "go on until the run ends");
command("stop", "end a run", async () => (await import("./commands/stop.ts")).stop)
  .argument("<run...>", "run ids")
  .option("--json", "print what was ended as JSON");
command(
  "grant",
  "store a service's credential, to be granted to runs",
  async () => (await import("./commands/grant.ts")).grant,
)
  .argument("<service>", "github, anthropic, npm, …")
  .allowExcessArguments() // refused by the command itself, which does not repeat a value
  .option("--name <name>", "name of the grant (default: the service)")
  .option("--value-file <file>", "read the value from a file, - for standard input")
  .option("--json", "print JSON");
command(
  "revoke",
  "take a grant back from every run and delete its credential",
  async () => (await import("./commands/revoke.ts")).revoke,
).argument("<name...>", "names of grants");
command("trace", "show what runs asked for", async () => (await import("./commands/trace.ts")).trace)
  .argument("[run]", "run id (default: every run)")
  .option("-f, --follow", "go on as requests happen")
  .option("-n, --limit <number>", "how many of the newest to begin with", "100")
  .option("--json", "print JSON, one record on a line");
command(
  "doctor",
  "prove what a run needs on this machine",
  async () => (await import("./commands/doctor.ts")).doctor,
).option("--json", "print JSON");
command(
  "demo",
  "show the whole promise on real processes",
  async () => (await import("./commands/demo.ts")).demo,
).option("--json", "print the result as JSON on the last line");
command("version", "print the version", async () => (await import("./commands/version.ts")).version).option(
  "--json",
  "print JSON",
);

const credentials = program.command("credentials").description("list or add credentials");
declare(credentials, "ls", {
  say: "list credentials; values are never shown",
  load: async () => (await import("./commands/credentials.ts")).listCredentials,
}).option("--json", "print JSON");
declare(credentials, "add", {
  say: "store a credential for hosts of your own, or for a service",
  load: async () => (await import("./commands/credentials.ts")).addCredential,
})
  .argument("<name>", "name of the credential and of its grant")
  .allowExcessArguments()
  .option("--service <service>", "take hosts and header from a template")
  .option("--host <host>", "host or host:port that gets it (repeat)", collect, [])
  .option("--header <header>", "header that carries it", "Authorization")
  .option("--format <format>", "header value with {value}; after `Basic ` it is base64-encoded", "Bearer {value}")
  .option("--value-file <file>", "read the value from a file, - for standard input")
  .option("--json", "print JSON");
const config = program.command("config").description("look at the configuration");
declare(config, "show", {
  say: "print each setting with where it came from",
  load: async () => (await import("./commands/config.ts")).showConfig,
}).option("--json", "print JSON");

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}

try {
  await program.parseAsync();
} catch (failure) {
  // Commander has printed what is wrong; its own codes for help and version are no failures.
  if (!(failure instanceof CommanderError)) throw failure;
  process.exitCode = failure.exitCode === 0 ? 0 : 2;
}
