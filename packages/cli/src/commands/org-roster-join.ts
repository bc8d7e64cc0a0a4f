import { fromBase64url, Problem } from "@gatehouse/core";
import {
  checkFirstRoster,
  nameRoster,
  readRosterDocument,
  type SignedRoster,
  writeRosterMessage,
} from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import {
  type Compared,
  chooseKept,
  compareRosters,
  type Difference,
  joinedRoster,
  type Split,
} from "../operator/compare-rosters.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { sealedBy } from "../operator/sealed-by.ts";
import { signRoster } from "../operator/sign-roster.ts";
import { standingOf, trustRoster } from "../operator/trusted-roster.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";
import { readTextFile } from "../terminal/read-text-file.ts";
import { bothRosters, summary } from "./org-roster.ts";

/** More than a roster of 100,000 nodes takes. */
const MAX_ROSTER_BYTES = 67_108_864;

/**
 * Makes one roster of two that were signed apart, by the organisation's key. What stands on one alone may have been
 * removed from the other: it stays out unless it is named here. Whoever holds either of the two takes the new one.
 */
export async function join(invocation: Invocation): Promise<number> {
  return asOperator(invocation.config.state.dir, async (operator) => {
    const orgKey = await operator.files.requireOrgKey();
    const split = await findSplit(operator, textOption(invocation, "other"));
    const compared = compareRosters(split);
    const names = await operator.files.nodeNames();
    const asked = (textOption(invocation, "keep") ?? "").split(",").filter((text) => text !== "");
    const kept = chooseKept(compared.differences, asked, names);
    const leftOut = compared.differences.filter(({ id }) => !kept.has(id));
    const resealed = await sealedBy(operator, keysOf(leftOut));
    if (!isSet(invocation, "json")) {
      explain({ split, compared, kept, names }, nameOfOther(invocation));
      explainSealed(resealed);
    }
    if (!isSet(invocation, "yes")) await askToSign();
    const signed = signRoster(joinedRoster(split, compared, kept), orgKey);
    await operator.org.putRoster({ roster: writeRosterMessage(signed) });
    await operator.files.saveRoster(signed);
    if (isSet(invocation, "json")) {
      const own = { kept: [...kept], left_out: leftOut.map(({ id }) => id), to_reseal: resealed };
      printJson({ ...summary(signed), ...own });
    } else printLine(`Signed version ${signed.version}. It is the organisation's roster.`);
    return 0;
  });
}

/** This machine's and the server's, or both of these, which are one, and a file's. */
async function findSplit(operator: Operator, file: string | undefined): Promise<Split> {
  const { orgKey, orgId } = operator.server;
  if (file !== undefined) {
    const shown = await operator.org.getOrg({});
    const first = await trustRoster(shown, operator);
    const second = await readRoster(file);
    if (second.orgId !== orgId) throw new Problem("roster.refused", { detail: "It is another organisation's." });
    return proven({ first, second, ended: shown.struckNodeIds }, orgKey);
  }
  const { known: first, shown: second, ended } = await bothRosters(operator);
  if (first === undefined || second === undefined || standingOf(second, first, orgKey) !== "split") {
    throw new Problem("usage.invalid", { detail: "The server's roster and this machine's were not signed apart." });
  }
  return proven({ first, second, ended }, orgKey);
}

/** The org key itself signed both: an operator's key says nothing on a roster on which it does not stand. */
function proven(split: Split, orgKey: Uint8Array): Split {
  for (const roster of [split.first, split.second]) checkFirstRoster(roster, orgKey);
  const [first, second] = [split.first, split.second].map((roster) => nameRoster(roster).sha256);
  if (Buffer.compare(first ?? new Uint8Array(), second ?? new Uint8Array()) === 0) {
    throw new Problem("usage.invalid", { detail: "Both are the same roster." });
  }
  return split;
}

async function readRoster(path: string): Promise<SignedRoster> {
  const text = await readTextFile(path, MAX_ROSTER_BYTES);
  try {
    return readRosterDocument(JSON.parse(text));
  } catch (cause) {
    throw new Problem("roster.refused", { detail: `${path} holds none.`, cause });
  }
}

function nameOfOther(invocation: Invocation): string {
  return textOption(invocation, "other") ?? "the server's";
}

interface Explained {
  readonly split: Split;
  readonly compared: Compared;
  readonly kept: ReadonlySet<string>;
  readonly names: ReadonlyMap<string, string>;
}

function explain({ split, compared, kept, names }: Explained, other: string): void {
  const { differences, nodes, operatorKeys } = compared;
  printLine(`This machine's roster is version ${split.first.version}; ${other} is version ${split.second.version}.`);
  printLine(`On both: ${nodes.length} nodes, ${operatorKeys.length} operator keys. They stay.`);
  if (differences.length === 0) return;
  const where: Readonly<Record<Difference["where"], string>> = {
    first: "on this machine's alone",
    second: `on ${other} alone`,
    both: "on each with other keys",
    ended: "on both, ended at the server",
  };
  const nameOf = (id: string) => [...names].find(([, known]) => known === id)?.[0] ?? "-";
  const rows = differences.map(({ kind, id, where: at }) => {
    return [kept.has(id) ? "kept" : "left out", kind, nameOf(id), where[at], id];
  });
  printTable(["THEN", "WHAT", "NAME", "WHERE", "ID"], rows);
  printLine("A node that is left out ends. What stands on one alone stays where --keep names it.");
}

/** The operator keys among them. */
function keysOf(differences: readonly Difference[]): readonly Uint8Array[] {
  return differences.flatMap(({ kind, id }) => {
    const key = kind === "operator key" ? fromBase64url(id) : undefined;
    return key === undefined ? [] : [key];
  });
}

/** A node refuses what no key of the roster sealed. */
function explainSealed(names: readonly string[]): void {
  if (names.length === 0) return;
  printLine("An operator key that is left out sealed these. Nodes refuse them until they are sealed anew:");
  for (const name of names) printLine(`  gatehouse revoke ${name} && gatehouse credentials add ${name}`);
}

async function askToSign(): Promise<void> {
  const undone = "Nothing was signed.";
  if (process.stdin.isTTY !== true) throw new Problem("usage.invalid", { detail: `--yes is needed here. ${undone}` });
  const [{ text }, { ask }] = await Promise.all([import("@clack/prompts"), import("../terminal/ask.ts")]);
  const answer = await ask((signal) => text({ message: "Type yes to sign it", signal }), undone);
  if (answer !== "yes") throw new Problem("usage.cancelled", { detail: undone });
}
