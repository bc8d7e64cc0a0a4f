import type { ResourceName } from "@gatehouse/core";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { allPages } from "../operator/all-pages.ts";
import { asOperator } from "../operator/open-operator.ts";
import { readRole, roleName } from "../operator/roles.ts";
import { readName } from "../read-name.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";

/** Lists the people of the organisation. */
export async function listMembers(invocation: Invocation): Promise<number> {
  const members = await asOperator(invocation.config.state.dir, ({ org }) =>
    allPages(org.listMembers, (page) => page.members),
  );
  const rows = members.map(({ name, role, createdAt, hasPassword, hasIdentity, linkExpiresAt }) => ({
    name,
    role: roleName(role),
    created_at: new Date(Number(createdAt)).toISOString(),
    password: hasPassword,
    provider: hasIdentity,
    link_until: linkExpiresAt === 0n ? null : new Date(Number(linkExpiresAt)).toISOString(),
  }));
  if (isSet(invocation, "json")) printJson(rows);
  else
    printTable(
      ["NAME", "ROLE", "SINCE", "SIGNS IN BY"],
      rows.map((row) => [row.name, row.role, row.created_at, waysIn(row)]),
    );
  return 0;
}

/** How a member signs in by a browser. */
function waysIn(row: { readonly password: boolean; readonly provider: boolean; readonly link_until: string | null }) {
  const ways = [
    ...(row.password ? ["password"] : []),
    ...(row.provider ? ["provider"] : []),
    ...(row.link_until === null ? [] : [`link until ${row.link_until}`]),
  ];
  return ways.length === 0 ? "-" : ways.join(", ");
}

/** Adds a person, who acts once they can sign in or a key was made for them. */
export async function addMember(invocation: Invocation): Promise<number> {
  const name = nameOf(invocation);
  const role = readRole(textOption(invocation, "role") ?? "");
  const samePerson = isSet(invocation, "samePerson");
  await asOperator(invocation.config.state.dir, ({ org }) => org.addMember({ name, role, samePerson }));
  if (isSet(invocation, "json")) printJson({ name, role: roleName(role) });
  else {
    printLine(`${name} is a member now, as ${roleName(role)}.`);
    printLine(`To sign in by a browser they need a link: gatehouse members invite ${name}`);
    printLine(
      `Or a key: gatehouse api-keys create --label ${name} --member ${name} --role ${roleName(role)} --out FILE`,
    );
  }
  return 0;
}

/** Changes what a person may do, from their next call on. */
export async function setMemberRole(invocation: Invocation): Promise<number> {
  const name = nameOf(invocation);
  const role = readRole(invocation.args[1] ?? "");
  await asOperator(invocation.config.state.dir, ({ org }) => org.setMemberRole({ name, role }));
  if (isSet(invocation, "json")) printJson({ name, role: roleName(role) });
  else printLine(`${name} is ${roleName(role)} now.`);
  return 0;
}

/** Removes a person; what they hold opens nothing any more. */
export async function removeMember(invocation: Invocation): Promise<number> {
  const name = nameOf(invocation);
  await asOperator(invocation.config.state.dir, ({ org }) => org.removeMember({ name }));
  if (isSet(invocation, "json")) printJson({ name, state: "removed" });
  else printLine(`${name} is removed; their keys open nothing any more.`);
  return 0;
}

function nameOf({ args }: Invocation): ResourceName {
  return readName(args[0] ?? "", "MEMBER");
}
