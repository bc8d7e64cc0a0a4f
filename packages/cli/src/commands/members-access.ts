import { writeFileAtomic } from "@gatehouse/kit";
import type { Session } from "@gatehouse/wire";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { allPages } from "../operator/all-pages.ts";
import { type InvitationLink, inviteTo } from "../operator/invitation-link.ts";
import { asOperator } from "../operator/open-operator.ts";
import { readName } from "../read-name.ts";
import { printJson, printLine, printTable, shown } from "../terminal/print.ts";
import { readDuration } from "../terminal/read-duration.ts";

/** Makes a link by which a member chooses a password, once. */
export function inviteMember(invocation: Invocation): Promise<number> {
  return makeLink(invocation, { isReset: false });
}

/** Ends a member's password and sessions, and makes a link by which they choose another. */
export function resetPassword(invocation: Invocation): Promise<number> {
  return makeLink(invocation, { isReset: true });
}

async function makeLink(invocation: Invocation, { isReset }: { readonly isReset: boolean }): Promise<number> {
  const name = readName(invocation.args[0] ?? "", "MEMBER");
  const ttlMs = readDuration(textOption(invocation, "ttl") ?? "", "--ttl");
  const link = await asOperator(invocation.config.state.dir, (operator) =>
    inviteTo(operator, { name, ttlMs, isReset }),
  );
  const out = textOption(invocation, "out");
  if (out !== undefined) await writeFileAtomic(out, `${link.url}\n`);
  if (isSet(invocation, "json")) printJson(describeLink(name, link, out === undefined));
  else printLink({ name, link, out, isReset });
  return 0;
}

function describeLink(name: string, { url, expiresAt }: InvitationLink, isShown: boolean) {
  return { member: name, ...(isShown ? { url } : {}), expires_at: expiresAt };
}

interface PrintedLink {
  readonly name: string;
  readonly link: InvitationLink;
  readonly out: string | undefined;
  readonly isReset: boolean;
}

function printLink({ name, link, out, isReset }: PrintedLink): void {
  if (isReset) printLine(`The password of ${name} opens nothing any more, and every browser of theirs is signed out.`);
  printLine(out === undefined ? link.url : `Wrote the link to ${out}.`);
  printLine(`Whoever has it becomes ${name}: hand it to them alone. It serves once, until ${link.expiresAt}.`);
}

/** Lists the browsers in which a member is signed in. */
export async function listSessions(invocation: Invocation): Promise<number> {
  const member = memberOf(invocation);
  const sessions = await asOperator(invocation.config.state.dir, ({ org }) =>
    allPages(
      (page) => org.listSessions({ member, ...page }),
      (page) => page.sessions,
    ),
  );
  const rows = sessions.map(describeSession);
  if (isSet(invocation, "json")) printJson(rows);
  else
    printTable(
      ["SESSION", "MEMBER", "BROWSER", "ADDRESS", "SINCE", "LAST SEEN"],
      rows.map((row) => [row.id, row.member, row.browser, row.address, row.created_at, row.last_seen].map(shown)),
    );
  return 0;
}

/** Ends a member's sessions, or one of them. */
export async function signOutMember(invocation: Invocation): Promise<number> {
  const member = memberOf(invocation);
  const sessionId = textOption(invocation, "session") ?? "";
  const { ended } = await asOperator(invocation.config.state.dir, ({ org }) => org.endSessions({ member, sessionId }));
  if (isSet(invocation, "json")) printJson({ member: member === "" ? null : member, ended });
  else printLine(ended === 1 ? "One browser is signed out." : `${ended} browsers are signed out.`);
  return 0;
}

/** Empty: whoever calls. */
function memberOf({ args }: Invocation): string {
  return args[0] === undefined ? "" : readName(args[0], "MEMBER");
}

function describeSession({ id, member, browser, address, createdAt, lastSeenAt, expiresAt }: Session) {
  return {
    id,
    member,
    browser,
    address,
    created_at: new Date(Number(createdAt)).toISOString(),
    last_seen: new Date(Number(lastSeenAt)).toISOString(),
    expires_at: new Date(Number(expiresAt)).toISOString(),
  };
}
