import { Argument, type Command } from "commander";
import { collect, declare } from "./declare-command.ts";
import { declareRun } from "./declare-run.ts";
import { addFleetCommands } from "./fleet-commands.ts";
import { addFleetPolicyCommands } from "./fleet-policy-commands.ts";
import { MACHINE, withExamples } from "./help-pages.ts";
import { addPeopleCommands } from "./people-commands.ts";
import { addQueueCommands } from "./queue-commands.ts";
import { rootCommand } from "./root-command.ts";

const FIRST_STEPS = `
First steps:
  gatehouse demo                          see on real processes what it promises
  gatehouse grant github                  store a token, typed at a prompt
  gatehouse run --grant github -- COMMAND
  gatehouse COMMAND --help                what a command takes, with examples`;

const SHELLS = ["bash", "zsh", "fish"];

/**
 * Every command with what it takes. Help, the reference page and completion are read off it: a value's name
 * (`<run>`, `<grant>`, `<service>`, `<file>`, `<dir>`) says what completes it.
 */
export function commandTree(): Command {
  const program = rootCommand();
  for (const [heading, add] of GROUPS) {
    program.commandsGroup(heading);
    for (const one of add) one(program);
  }
  return program.addHelpText("after", FIRST_STEPS);
}

/** Commands as the first help page shows them. */
const GROUPS: readonly (readonly [heading: string, add: readonly ((program: Command) => void)[]])[] = [
  ["Runs on this machine:", [addRunCommands]],
  ["What runs may do, and what they did:", [addGrantCommands, addPolicyCommands, addAuditCommands]],
  ["Many machines and people:", [addFleetCommands, addQueueCommands, addPeopleCommands]],
  [MACHINE, [addMachineCommands]],
];

function addRunCommands(program: Command): void {
  declare(program, "up", "run the daemon and the gate, and stay", async () => (await import("./commands/up.ts")).up)
    .option("--json", "print one ready line as JSON")
    .option("--take-over", "take over from the daemon that runs, without a connection lost")
    .option("--until-empty", "end when there have been no runs and calls for a while (node.emptyTimeoutMs)")
    .option("--gate-port <port>", "loopback port of the gate (0: any free one)")
    .option("--listen <address>", "be a server for further hosts too, on host:port")
    .option("--url <url>", "https://name:port by which they, and this host, reach it (default: the one given last)");
  declareRun(program, async () => (await import("./commands/run.ts")).run);
  declareExec(program);
  const list = "list runs: of this machine, and on an operator's of the organisation's nodes too";
  declare(program, "ls", list, async () => (await import("./commands/ls.ts")).ls)
    .option("--node <node>", "runs of this node of your organisation")
    .option("--local", "runs of this machine alone")
    .option("--json", "print JSON");
  declare(program, "logs", "print what a detached run wrote", async () => (await import("./commands/logs.ts")).logs)
    .argument("<run>", "run id")
    .option("-f, --follow", "go on until the run ends");
  declare(
    program,
    "attach",
    "take over the streams of a run on a node of your organisation",
    async () => (await import("./commands/attach.ts")).attach,
  )
    .argument("<run>", "run id")
    .option("--detach-keys <keys>", "keys that leave it to itself at a terminal; empty: none", "ctrl-p,ctrl-q");
  declare(program, "stop", "end a run", async () => (await import("./commands/stop.ts")).stop)
    .argument("[run...]", "run ids")
    .option("--all", "every run of this host, whether its server is there or not")
    .option("--json", "print JSON");
  declare(program, "trace", "show what runs asked for", async () => (await import("./commands/trace.ts")).trace)
    .argument("[run]", "run id (default: every run); one that nobody knows ends with 5")
    .option("-f, --follow", "go on as requests happen")
    .option("-n, --limit <number>", "how many of the newest to begin with", "100")
    .option("--json", "print JSON, one record on a line");
}

function declareExec(program: Command): void {
  const say = "run a further command in a run";
  const exec = declare(program, "exec", say, async () => (await import("./commands/exec.ts")).exec)
    .argument("<run>", "run id")
    .argument("<command...>", "the command and its arguments, after --")
    .option("--env <name=value>", "set a variable for the command, beside the run's own (repeat)", collect, [])
    .option("-w, --workdir <path>", "directory inside in which it begins (default: the run's workspace)")
    .option("--timeout <duration>", "end it after 30s, 20m, 1h or 2d; its code is 124 then");
  withExamples(exec, "exec RUN -- git status", "exec -w src --timeout 20m RUN -- make test");
}

function addGrantCommands(program: Command): void {
  const replaceSays = "give a grant that exists this value: runs use it from their next request on";
  const store = "store a service's credential, to be granted to runs";
  const grant = declare(program, "grant", store, async () => (await import("./commands/grant.ts")).grant)
    .argument("<service>", "github, anthropic, npm, …")
    .allowExcessArguments() // refused by the command itself, which does not repeat a value
    .option("--name <name>", "name of the grant (default: the service)")
    .option("--value-file <file>", "read the value from a file, - for standard input")
    .option("--replace", replaceSays)
    .option("--json", "print JSON");
  withExamples(grant, "grant github", "grant anthropic --value-file - < key.txt", "grant github --replace");
  const takeBack = "take a grant back from every run and delete its credential";
  declare(program, "revoke", takeBack, async () => (await import("./commands/revoke.ts")).revoke)
    .argument("<grant...>", "names of grants")
    .option("--json", "print JSON");
  const credentials = program.command("credentials").description("list or add credentials");
  declare(
    credentials,
    "ls",
    "list credentials; values are never shown",
    async () => (await import("./commands/credentials.ts")).listCredentials,
  ).option("--json", "print JSON");
  const add = declare(
    credentials,
    "add",
    "store a credential for hosts of your own, or for a service",
    async () => (await import("./commands/credentials.ts")).addCredential,
  )
    .argument("<name>", "name of the credential and of its grant")
    .allowExcessArguments()
    .option("--service <service>", "take hosts and header from a template")
    .option("--host <host>", "host or host:port that gets it (repeat)", collect, [])
    .option("--header <header>", "header that carries it", "Authorization")
    .option("--format <format>", "header value with {value}; after `Basic ` it is base64-encoded", "Bearer {value}")
    .option(
      "--nodes <names>",
      "on an operator's machine: the nodes that may open it, by comma (default: this machine alone)",
    )
    .option("--value-file <file>", "read the value from a file, - for standard input")
    .option("--replace", replaceSays)
    .option("--json", "print JSON");
  withExamples(
    add,
    "credentials add internal --host api.example.com --value-file key.txt",
    'credentials add feed --host feed.example.com --header X-Api-Key --format "{value}"',
    "credentials add github --service github --nodes n1,n2",
  );
  declare(
    credentials,
    "reseal",
    "seal a credential of the organisation to further nodes, by its key on this machine or by a node that has it",
    async () => (await import("./commands/sealed-credentials.ts")).resealHere,
  )
    .argument("<name>", "name of the credential")
    .requiredOption("--nodes <names>", "the nodes that may open it too, by comma")
    .option("--via <node>", "the node that seals it onward, by your signature (default: this machine's key, else any)")
    .option("--json", "print JSON");
}

function addPolicyCommands(program: Command): void {
  const policy = program
    .command("policy")
    .description("ask, test, check or propose network policies, and put those of your organisation");
  const explain = declare(
    policy,
    "explain",
    "say what the gate would do with a request, and by which rule",
    async () => (await import("./commands/policy-explain.ts")).explainPolicy,
  )
    .argument("<method>", "GET, POST, …")
    .argument("<url>", "http or https URL")
    .option("--policy <file>", "strict, permissive, or a policy file (default: strict)")
    .option("--grant <grant>", "as if the run had this grant (repeat)", collect, [])
    .option("--allow <host>", "as if the run could reach host or host:port (repeat)", collect, [])
    .option("--run <run>", "ask with the policy and grants of this run instead")
    .option("--resolve", "look the host's addresses up and check them too")
    .option("--json", "print JSON");
  withExamples(
    explain,
    "policy explain GET https://api.github.com/user --grant github",
    "policy explain POST https://example.com/ --policy policy.yaml",
  );
  declare(
    policy,
    "test",
    "check the decisions that a file of cases expects",
    async () => (await import("./commands/policy-test.ts")).testPolicy,
  )
    .argument("<file>", "file of cases, which names its policy")
    .option("--json", "print JSON");
  declare(
    policy,
    "lint",
    "find rules that are wrong, never used or too wide",
    async () => (await import("./commands/policy-lint.ts")).lintPolicyFile,
  )
    .argument("<file>", "policy file")
    .option("--json", "print JSON");
  declare(
    policy,
    "suggest",
    "propose rules for what was refused for want of a rule",
    async () => (await import("./commands/policy-suggest.ts")).suggestPolicy,
  )
    .option("--run <run>", "what this run asked for (default: every run)")
    .option("--since <time>", "what was asked in the last 30s, 20m, 1h or 2d")
    .option("--json", "print JSON");
  addFleetPolicyCommands(policy);
}

function addAuditCommands(program: Command): void {
  const audit = program.command("audit").description("export, verify or prove what was done");
  const write = "write the audit log as one file that anyone can verify";
  declare(audit, "export", write, async () => (await import("./commands/audit-export.ts")).exportAudit)
    .requiredOption("--out <file>", "file to write")
    .option("--node <node>", "for an operator: what this node copied to the server (default: the organisation's log)")
    .option("--json", "print JSON");
  const check = "check an export, or the log of this node; 4 when it is not what was signed";
  declare(audit, "verify", check, async () => (await import("./commands/audit-verify.ts")).verifyAudit)
    .argument("[file]", "export, or state directory (default: this node's)")
    .option("--key <file>", "file with the key that must have signed, as one base64url line")
    .option("--earlier <file>", "an earlier export, or a head that somebody saw, with which it must begin")
    .option("--witnesses <file>", "keys of nodes, base64url lines: only these count as witnesses")
    .option("--json", "print JSON");
  const show = "print the proof that an entry is in the log";
  declare(audit, "prove", show, async () => (await import("./commands/audit-prove.ts")).proveAudit)
    .argument("<seq>", "number of the entry")
    .option("--json", "print JSON, as it does anyway");
}

function addMachineCommands(program: Command): void {
  const prove = "prove each hop between a run and a service on this machine";
  declare(program, "doctor", prove, async () => (await import("./commands/doctor.ts")).doctor).option(
    "--json",
    "print JSON",
  );
  const show = "show the whole promise on real processes";
  declare(program, "demo", show, async () => (await import("./commands/demo.ts")).demo).option(
    "--json",
    "print the result as JSON on the last line",
  );
  const config = program.command("config").description("look at the configuration");
  const settings = "print each setting with where it came from";
  declare(config, "show", settings, async () => (await import("./commands/config.ts")).showConfig).option(
    "--json",
    "print JSON",
  );
  const complete = "print a shell's completion script";
  declare(
    program,
    "completion",
    complete,
    async () => (await import("./commands/completion.ts")).printCompletion,
  ).addArgument(new Argument("<shell>", "the shell that will read it").choices(SHELLS));
  const version = "print the version";
  declare(program, "version", version, async () => (await import("./commands/version.ts")).version).option(
    "--json",
    "print JSON",
  );
}
