import {
  constantTimeEqual,
  Problem,
  type Roster,
  type RosterJoin,
  type RosterName,
  rosterTuple,
} from "@gatehouse/core";
import { sha256 } from "./sha256.ts";

/** An organisation that split more often is in other trouble. */
const MAX_JOINS = 64;
const HASH_BYTES = 32;

export function nameRoster(roster: Roster): RosterName {
  return { version: roster.version, sha256: sha256(rosterTuple(roster)) };
}

/** The roster as the version that takes two others in: with the joins that either knows, and its own. */
export function withJoin(roster: Roster, one: Roster, other: Roster): Roster {
  const parents = [nameRoster(one), nameRoster(other)].sort(compareNames);
  const known = [...(one.joins ?? [])];
  for (const join of other.joins ?? []) if (!isAmong(join, known)) known.push(join);
  known.sort((a, b) => a.version - b.version);
  const version = Math.max(one.version, other.version) + 1;
  const own = { version, parents, sha256: contentHash({ ...roster, version }) };
  return { ...roster, version, joins: [...known, own] };
}

/** Whether a roster is itself a join: of that version, and nobody before it knew of it. */
export function isJoin({ version, joins = [] }: Roster): boolean {
  return joins.at(-1)?.version === version;
}

/** Holds the joins of a roster to their form. Fails with `roster.refused`. */
export function requireJoinsFormed(roster: Roster): void {
  const { version, joins = [] } = roster;
  const own = joins.filter((join) => join.version === version);
  const areFormed =
    joins.length <= MAX_JOINS &&
    joins.every((join, at) => isFormed(join) && join.version <= version && !isAmong(join, joins.slice(0, at))) &&
    joins.slice(1).every((join, at) => join.version >= (joins[at]?.version ?? 0)) &&
    own.length <= 1 &&
    own.every(({ sha256: hash }) => constantTimeEqual(hash, contentHash(roster)));
  if (!areFormed) throw new Problem("roster.refused", { detail: "Its joins cannot be read." });
}

/**
 * Whether a roster may stand in the place of one that is held, as far as joins say: it knows every join that the held
 * one knows; and of the joins that are news, one names the held roster itself, or the held one is older than what each
 * of them took in, so that it would have been followed by that already. Fails with `roster.split`.
 */
export function requireDescent(next: Roster, held: Roster): void {
  const [known, all] = [held.joins ?? [], next.joins ?? []];
  const news = all.filter((join) => !isAmong(join, known));
  if (news.length === 0 && all.length === known.length) return;
  const knowsAll = known.every((join) => isAmong(join, all));
  const own = nameRoster(held);
  const isNamed = news.some(({ parents }) => parents.some((parent) => compareNames(parent, own) === 0));
  const isBehind = news.every(({ version }) => held.version < version - 1);
  if (!knowsAll || !(isNamed || isBehind)) {
    throw new Problem("roster.split", { detail: "It was joined from others than the one that is known." });
  }
}

function contentHash(roster: Roster): Uint8Array {
  return sha256(rosterTuple({ ...roster, joins: undefined }));
}

function isFormed({ version, parents, sha256: own }: RosterJoin): boolean {
  const [older, newer] = parents;
  if (parents.length !== 2 || older === undefined || newer === undefined) return false;
  if ([own, older.sha256, newer.sha256].some((hash) => hash.length !== HASH_BYTES)) return false;
  return version === newer.version + 1 && compareNames(older, newer) < 0;
}

function isAmong(join: RosterJoin, joins: readonly RosterJoin[]): boolean {
  return joins.some(({ parents, ...own }) => {
    const isSame = (name: RosterName, at: number) => compareNames(name, join.parents[at] ?? NOBODY) === 0;
    return compareNames(own, join) === 0 && parents.length === join.parents.length && parents.every(isSame);
  });
}

const NOBODY: RosterName = { version: 0, sha256: new Uint8Array() };

function compareNames(a: RosterName, b: RosterName): number {
  if (a.version !== b.version) return a.version - b.version;
  if (constantTimeEqual(a.sha256, b.sha256)) return 0;
  return Buffer.compare(a.sha256, b.sha256);
}
