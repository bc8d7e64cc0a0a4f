import { base64url, Problem } from "@gatehouse/core";
import { describeRoster, nameRoster, readRosterMessage, type SignedRoster, writeFileAtomic } from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { type Standing, standingOf } from "../operator/trusted-roster.ts";
import { note, printJson, printLine, printTable } from "../terminal/print.ts";

type Maybe = SignedRoster | undefined;

const SAYS: Readonly<Record<Standing, string>> = {
  same: "The server and this machine have the same one.",
  ahead: "The server's follows this machine's: the next command here takes it.",
  behind: "This machine's follows the server's: the next command here that needs it hands it over.",
  split: "They were signed apart, and neither follows the other. To make one of them: gatehouse org roster join",
};

/** Shows the roster of this machine and the server's, side by side. Changes neither. Fails with `roster.refused`. */
export async function show(invocation: Invocation): Promise<number> {
  return asOperator(invocation.config.state.dir, async (operator) => {
    const { known, shown } = await bothRosters(operator);
    const standing = known && shown && standingOf(shown, known, operator.server.orgKey);
    if (isSet(invocation, "json")) printJson({ state: standing ?? null, machine: json(known), server: json(shown) });
    else printBoth(known, shown, standing);
    await writeOut(textOption(invocation, "out"), known);
    return 0;
  });
}

/** The roster that this machine knows, and the one that the server shows. Neither is proven to follow the other. */
export async function bothRosters({ files, org, server }: Pick<Operator, "files" | "org" | "server">) {
  const { roster, struckNodeIds } = await org.getOrg({});
  const shown = roster === undefined ? undefined : readRosterMessage(server.orgId, roster);
  return { known: await files.roster(), shown, ended: struckNodeIds };
}

/** A roster by what tells it from all others, as JSON shows it. */
export function summary(roster: SignedRoster) {
  const { version, sha256 } = nameRoster(roster);
  const { issuedAt, nodes, operatorKeys } = roster;
  const counts = { nodes: nodes.length, operator_keys: operatorKeys.length };
  return { version, issued_at: new Date(issuedAt).toISOString(), sha256: base64url(sha256), ...counts };
}

function json(roster: Maybe) {
  return roster === undefined ? null : summary(roster);
}

function printBoth(known: Maybe, shown: Maybe, standing: Standing | undefined): void {
  const rows = [rowOf("this machine", known), rowOf("the server", shown)];
  printTable(["WHERE", "VERSION", "SIGNED", "NODES", "OPERATOR KEYS", "SHA-256"], rows);
  if (standing !== undefined) printLine(SAYS[standing]);
}

function rowOf(where: string, roster: Maybe): readonly string[] {
  if (roster === undefined) return [where, "-", "-", "-", "-", "-"];
  const { version, issued_at, sha256, nodes, operator_keys } = summary(roster);
  return [where, `${version}`, issued_at, `${nodes}`, `${operator_keys}`, sha256];
}

async function writeOut(out: string | undefined, known: SignedRoster | undefined): Promise<void> {
  if (out === undefined) return;
  if (known === undefined) throw new Problem("roster.refused", { detail: "This machine knows none yet." });
  await writeFileAtomic(out, `${JSON.stringify(describeRoster(known))}\n`);
  note(`wrote version ${known.version} to ${out}`);
}
