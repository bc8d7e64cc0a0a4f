import type { Command } from "commander";
import { declare } from "./declare-command.ts";

const ROLES = "viewer, operator, admin or owner";

/** What the people of an organisation and their keys are looked after with. */
export function addPeopleCommands(program: Command): void {
  addLoginCommands(program);
  const members = program.command("members").description("look after the people of your organisation");
  addMemberCommands(members);
  addAccessCommands(members);
  addKeyCommands(program.command("api-keys").description("look after the keys by which people and scripts act"));
}

function addLoginCommands(program: Command): void {
  declare(
    program,
    "login",
    "sign in to a server as a member, so that this machine may administer its organisation",
    async () => (await import("./commands/login.ts")).login,
  )
    .requiredOption("--server <url>", "https://name:port")
    .requiredOption("--pin <pin>", "what gatehouse org pin prints on another member's machine")
    .option(
      "--api-key-file <file>",
      "take a key that was made for you, - for standard input (default: ask in a browser)",
    )
    .option("--json", "print one JSON object at each step");
  declare(
    program,
    "logout",
    "sign out: end this machine's key, and forget it",
    async () => (await import("./commands/logout.ts")).logout,
  ).option("--json", "print JSON");
}

function addMemberCommands(members: Command): void {
  const load = () => import("./commands/members.ts");
  declare(members, "ls", "list members", async () => (await load()).listMembers).option("--json", "print JSON");
  declare(members, "add", "add a person", async () => (await load()).addMember)
    .argument("<name>", "how the person is called here")
    .requiredOption("--role <role>", ROLES)
    .option("--same-person", "who was removed under this name comes back: their sign-in by a provider works again")
    .option("--json", "print JSON");
  declare(members, "set-role", "change what a person may do", async () => (await load()).setMemberRole)
    .argument("<name>", "name of the member")
    .argument("<role>", ROLES)
    .option("--json", "print JSON");
  declare(members, "remove", "remove a person, and end their keys", async () => (await load()).removeMember)
    .argument("<name>", "name of the member")
    .option("--json", "print JSON");
}

function addAccessCommands(members: Command): void {
  const load = () => import("./commands/members-access.ts");
  for (const [name, say, command] of [
    ["invite", "make a link by which a member chooses a password", async () => (await load()).inviteMember],
    [
      "reset-password",
      "end a member's password, and make a link to choose another",
      async () => (await load()).resetPassword,
    ],
  ] as const) {
    declare(members, name, say, command)
      .argument("<name>", "name of the member")
      .option("--ttl <time>", "how long the link is good: 1m to 7d", "24h")
      .option("--out <file>", "write the link to a file of mode 0600 instead of printing it")
      .option("--json", "print JSON");
  }
  declare(
    members,
    "sessions",
    "list the browsers in which a member is signed in",
    async () => (await load()).listSessions,
  )
    .argument("[name]", "name of the member (default: you)")
    .option("--json", "print JSON");
  declare(members, "sign-out", "sign a member's browsers out", async () => (await load()).signOutMember)
    .argument("[name]", "name of the member (default: you)")
    .option("--session <id>", "this one alone")
    .option("--json", "print JSON");
}

function addKeyCommands(keys: Command): void {
  const load = () => import("./commands/api-keys.ts");
  declare(keys, "ls", "list keys", async () => (await load()).listApiKeys).option("--json", "print JSON");
  declare(keys, "create", "make a key; it is shown once", async () => (await load()).createApiKey)
    .requiredOption("--label <name>", "what it is for")
    .requiredOption("--role <role>", `${ROLES}: at most your own`)
    .option("--member <name>", "whose key it becomes (default: yours)")
    .option("--ttl <time>", "how long it is good: 1m to 366d", "90d")
    .option("--out <file>", "write the key to a file of mode 0600 instead of printing it")
    .option("--json", "print JSON");
  declare(keys, "revoke", "end a key", async () => (await load()).revokeApiKey)
    .argument("<key>", "its id, or what it begins with")
    .option("--json", "print JSON");
}
