import type { Command } from "commander";
import { declare } from "./declare-command.ts";
import { withExamples } from "./help-pages.ts";

/** What makes a host a node, and looks after it there. */
export function addHostCommands(program: Command): void {
  const node = program.command("node").description("make this host a node of a server, and look after it");
  const enroll = declare(
    node,
    "enroll",
    "ask to become a node, and wait until a person confirmed it",
    async () => (await import("./commands/node-enroll.ts")).enroll,
  )
    .requiredOption("--server <url>", "https://name:port")
    .requiredOption("--name <name>", "name of the node")
    .option("--code-file <file>", "read the code from a file, - for standard input (default: ask)")
    .option("--json", "print one JSON object at each step");
  withExamples(
    enroll,
    "node enroll --server https://gatehouse.example:8443 --name n1",
    "node enroll --server https://gatehouse.example:8443 --name n1 --code-file code.txt --json",
  );
  declare(
    node,
    "run",
    "run the daemon of this host, joined to its server, and stay",
    async () => (await import("./commands/node-run.ts")).runNode,
  ).option("--json", "print one ready line as JSON");
  declare(
    node,
    "status",
    "say which node this host is",
    async () => (await import("./commands/node-status.ts")).status,
  ).option("--json", "print JSON");
  declare(
    node,
    "roster",
    "write the roster that this host holds its server to, for whoever has the organisation's key",
    async () => (await import("./commands/node-roster.ts")).roster,
  ).option("--out <file>", "write it to a file instead of printing it");
  declare(
    node,
    "refresh",
    "open a session with the stored key, to see that it works",
    async () => (await import("./commands/node-session.ts")).refresh,
  ).option("--json", "print JSON");
  declare(
    node,
    "rotate",
    "fetch a new API key",
    async () => (await import("./commands/node-session.ts")).rotate,
  ).option("--json", "print JSON");
  declare(
    node,
    "leave",
    "leave the server; this node is revoked there",
    async () => (await import("./commands/node-session.ts")).leave,
  ).option("--json", "print JSON");
}
