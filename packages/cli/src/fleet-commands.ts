import { type Command, Option } from "commander";
import { collect, declare } from "./declare-command.ts";
import { withExamples } from "./help-pages.ts";
import { addHostCommands } from "./host-commands.ts";
import { addPlacementCommands } from "./placement-commands.ts";
import { addRosterCommands } from "./roster-commands.ts";

/** What servers, operators and hosts of a fleet are run and administered with. */
export function addFleetCommands(program: Command): void {
  addServerCommands(program);
  addOperatorCommands(program);
  addHostCommands(program);
}

function addServerCommands(program: Command): void {
  const server = declare(
    program,
    "server",
    "run the control plane, and stay",
    async () => (await import("./commands/server.ts")).server,
  )
    .option("--listen <address>", "host:port to listen on (default: 127.0.0.1:8443; port 0: any free one)")
    .option("--url <url>", "https://name:port by which nodes and operators reach it (default: the one given last)")
    .option("--database-url-file <file>", "file that holds a PostgreSQL URL (default: an embedded database)")
    .option("--metrics-port <port>", "loopback port of metrics and health (default: 9464, or a free one)")
    .option("--json", "print one ready line as JSON");
  declare(
    server,
    "setup-code",
    "make a code that may make one more organisation",
    async () => (await import("./commands/server-setup-code.ts")).serverSetupCode,
  )
    .option(...DATABASE)
    .option("--json", "print JSON");
  declare(
    server,
    "owner-link",
    "let an owner choose another password who can sign in no more",
    async () => (await import("./commands/server-owner-link.ts")).serverOwnerLink,
  )
    .requiredOption("--org <name>", "name of the organisation")
    .requiredOption("--name <name>", "name of the owner")
    .requiredOption("--url <url>", "https://name:port by which the owner reaches the server")
    .option("--out <file>", "write the link to a file of mode 0600 instead of printing it")
    .option(...DATABASE)
    .option("--json", "print JSON");
  addUpkeepCommands(server);
}

const DATABASE = [
  "--database-url-file <file>",
  "file that holds a PostgreSQL URL (default: the embedded database)",
] as const;
const EXPORTED = [
  "--audit <file>",
  "an organisation's exported audit log: what it says was revoked is revoked again (repeat)",
  collect,
  [] as string[],
] as const;

function addUpkeepCommands(server: Command): void {
  declare(
    server,
    "migrate",
    "bring the database up to date",
    async () => (await import("./commands/server-migrate.ts")).serverMigrate,
  )
    .option(...DATABASE)
    .option("--plan", "show the SQL and change nothing")
    .option("--grant-to <role>", "let this PostgreSQL role serve: rows, never tables")
    .option("--json", "print JSON");
  declare(
    server,
    "backup",
    "write rows and keys to one file, while the server runs",
    async () => (await import("./commands/server-backup.ts")).backup,
  )
    .option(...DATABASE)
    .requiredOption("--out <file>", "file to write; it holds the server's keys")
    .option("--json", "print JSON");
  declare(
    server,
    "restore",
    "put a server back from a backup, where none is",
    async () => (await import("./commands/server-backup.ts")).restore,
  )
    .argument("<file>", "the backup")
    .option(...DATABASE)
    .option(...EXPORTED)
    .option("--json", "print JSON");
  declare(
    server,
    "recover",
    "open a new epoch with new keys, on a server that does not run",
    async () => (await import("./commands/server-recover.ts")).recover,
  )
    .option(...DATABASE)
    .option("--keys-leaked", "somebody may have the old keys: believe nothing that they signed, whoever shows it")
    .option(...EXPORTED)
    .option("--json", "print JSON");
}

function addOperatorCommands(program: Command): void {
  const org = program.command("org").description("make an organisation on a server, and say how others find it");
  const init = declare(
    org,
    "init",
    "make an organisation, its key and its owner",
    async () => (await import("./commands/org-init.ts")).orgInit,
  )
    .requiredOption("--server <url>", "https://name:port")
    .requiredOption("--org <name>", "name of the organisation")
    .requiredOption("--owner <name>", "name of its first member, who is its owner")
    .option("--setup-code-file <file>", "read the set-up code from a file, - for standard input (default: ask)")
    .option("--json", "print JSON");
  withExamples(init, "org init --server https://gatehouse.example:8443 --org acme --owner ada");
  declare(
    org,
    "pin",
    "print how another member's machine finds and knows the server",
    async () => (await import("./commands/org-pin.ts")).orgPin,
  ).option("--json", "print JSON");
  addOperatorKeyCommands(org);
  addRosterCommands(org);
  const nodes = program.command("nodes").description("administer the nodes of your organisation");
  addCodeCommands(nodes);
  addNodeViews(nodes);
  addNodeCommands(nodes);
}

function addOperatorKeyCommands(org: Command): void {
  declare(
    org,
    "operator-key",
    "print the key that this machine signs with",
    async () => (await import("./commands/org-operators.ts")).operatorKey,
  ).option("--json", "print JSON");
  declare(
    org,
    "operators",
    "list the keys that may sign for the organisation",
    async () => (await import("./commands/org-operators.ts")).listOperators,
  ).option("--json", "print JSON");
  for (const [verb, says] of [
    ["certify", "let another operator's machine seal credentials; needs the organisation's key"],
    ["decertify", "end what an operator's machine may sign; needs the organisation's key"],
  ] as const) {
    declare(org, verb, says, async () => (await import("./commands/org-operators.ts"))[verb])
      .argument("<key>", "what org operator-key prints there; one that begins with a hyphen comes last, after --")
      .option("--json", "print JSON");
  }
}

function addCodeCommands(nodes: Command): void {
  declare(
    nodes,
    "enroll-code",
    "make a one-time code for a host",
    async () => (await import("./commands/nodes-codes.ts")).enrollCode,
  )
    .option("--name <name>", "the only name that may claim it")
    .option("--label <key=value>", "label of the node (repeat)", collect, [])
    .option("--ttl <time>", "how long it may be claimed: 1m to 24h", "15m")
    .option("--out <file>", "write the code to a file of mode 0600 instead of printing it")
    .option("--json", "print JSON");
  declare(
    nodes,
    "codes",
    "list codes and enrollments that wait",
    async () => (await import("./commands/nodes-codes.ts")).listCodes,
  ).option("--json", "print JSON");
  declare(
    nodes,
    "cancel",
    "end a code or an enrollment that waits",
    async () => (await import("./commands/nodes-codes.ts")).cancelCode,
  )
    .argument("<enrollment>", "its id")
    .option("--json", "print JSON");
}

function addNodeViews(nodes: Command): void {
  declare(nodes, "ls", "list nodes", async () => (await import("./commands/nodes-ls.ts")).listNodes)
    .option("--label <key=value>", "nodes with this label (repeat)", collect, [])
    .option("--name <text>", "nodes with this in their name")
    .addOption(new Option("--state <state>", "nodes in this state").choices(["pending", "confirmed"]))
    .option("--json", "print JSON");
  declare(
    nodes,
    "show",
    "show one node: what it serves, what waits there, how far its audit log was witnessed",
    async () => (await import("./commands/nodes-show.ts")).showNode,
  )
    .argument("<node>", "name or id")
    .option("--json", "print JSON");
  declare(
    nodes,
    "events",
    "print what happened to nodes and runs",
    async () => (await import("./commands/nodes-events.ts")).watchEvents,
  )
    .option("--cursor <cursor>", "begin behind this event (default: with what happens from now on)")
    .option("-f, --follow", "go on until it is stopped")
    .option("--json", "print one JSON object on each line");
  declare(
    nodes,
    "telemetry",
    "print what a node measured",
    async () => (await import("./commands/nodes-telemetry.ts")).telemetry,
  )
    .argument("<node>", "name or id")
    .option("--since <time>", "what was measured in the last 30s, 20m, 1h or 2d", "1h")
    .option("--name <figure>", "this figure alone, as gate.requests_allowed")
    .option("-n, --limit <number>", "at most so many", "1000")
    .option("--json", "print one JSON object on each line");
}

function addNodeCommands(nodes: Command): void {
  declare(
    nodes,
    "confirm",
    "confirm nodes, each by the fingerprint that its host printed",
    async () => (await import("./commands/nodes-confirm.ts")).confirm,
  )
    .argument("<node...>", "names of nodes; all of them in one version of the roster")
    .option(
      "--fingerprint <text>",
      "as the host printed it; of several nodes NODE=FINGERPRINT for each (repeat; default: ask)",
      collect,
      [],
    )
    .option("--json", "print JSON");
  declare(
    nodes,
    "revoke",
    "revoke a node at once: keys, session, and what it may open",
    async () => (await import("./commands/nodes-change.ts")).revokeNode,
  )
    .argument("<node>", "name or id")
    .option("--json", "print JSON");
  declare(
    nodes,
    "replace",
    "make a code that may claim the name of a node that was lost",
    async () => (await import("./commands/nodes-codes.ts")).replaceNode,
  )
    .argument("<node>", "name or id")
    .option("--ttl <time>", "how long it may be claimed: 1m to 24h", "15m")
    .option("--out <file>", "write the code to a file of mode 0600 instead of printing it")
    .option("--json", "print JSON");
  addPlacementCommands(nodes);
}
