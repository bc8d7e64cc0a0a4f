import { generateKeyPairSync, sign } from "node:crypto";
import { base64url, type Roster, rosterTuple } from "@gatehouse/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  checkFirstRoster,
  checkLaterRoster,
  checkRoster,
  describeRoster,
  isJoin,
  nameRoster,
  readRosterDocument,
  type SignedRoster,
  withJoin,
} from "../../src/index.ts";

const makeKey = () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  return {
    publicKey: new Uint8Array(Buffer.from(publicKey.export({ format: "jwk" }).x ?? "", "base64url")),
    privateKey,
  };
};
const [orgKey, operator, stranger] = [makeKey(), makeKey(), makeKey()];

const signed = (roster: Roster, by = orgKey): SignedRoster => {
  return { ...roster, signer: by.publicKey, signature: new Uint8Array(sign(null, rosterTuple(roster), by.privateKey)) };
};
/** `mark` makes it another than its twins of the same version. */
const plain = (version: number, mark: number, joins?: Roster["joins"]): Roster => {
  return { orgId: "org", version, issuedAt: mark + 1, nodes: [], operatorKeys: [operator.publicKey], joins };
};
const follow = (before: Roster, mark: number) => plain(before.version + 1, mark, before.joins);
const join = (one: Roster, other: Roster, mark = 0) => withJoin(plain(1, mark), one, other);
const answer = (next: SignedRoster, held: Roster | SignedRoster) => {
  try {
    return checkLaterRoster(next, "signature" in held ? held : signed(held), orgKey.publicKey);
  } catch (failure) {
    return (failure as { code: string }).code;
  }
};
const takes = (held: Roster, next: Roster) => answer(signed(next), held) === "new";

const root = plain(4, 0);
const [left, right, third] = [follow(root, 1), follow(root, 2), follow(root, 3)];
const joined = join(left, right);
const [own] = joined.joins ?? [];
if (own === undefined) throw new Error("a join names itself");

describe("a roster that joins two", () => {
  test("is taken by whoever holds either, or came before both, and so is what follows it", () => {
    for (const held of [left, right, root])
      expect([joined, follow(joined, 9)].map((next) => takes(held, next))).toEqual([true, true]);
  });

  test("is refused by whoever holds a third, and so is what follows it, until that is joined too", () => {
    const later = follow(joined, 9);
    for (const next of [joined, later]) expect(answer(signed(next), third)).toBe("roster.split");
    const second = join(later, third);
    for (const held of [third, later, joined, left, right]) expect(takes(held, second)).toBe(true);
  });

  test("leaves no way back: what follows one of the two alone is refused by whoever holds the join", () => {
    const beyond = plain(9, 5);
    expect(answer(signed(beyond), joined)).toBe("roster.split");
    expect(answer(signed(joined), left)).toBe("new");
  });

  test("is signed by nobody where its joins are left out, changed, or made of others", () => {
    const whole = signed(joined);
    const other = join(left, third).joins ?? [];
    for (const joins of [undefined, [], other, [...(joined.joins ?? []), ...other], [{ ...own, version: 7 }]]) {
      for (const held of [left, right, third]) expect(answer({ ...whole, joins }, held)).toBe("roster.refused");
    }
  });

  test("counts by the organisation's key alone", () => {
    for (const by of [operator, stranger]) expect(answer(signed(joined, by), left)).toBe("roster.refused");
    expect(answer(signed(follow(joined, 9), operator), joined)).toBe("new");
    expect(() => checkFirstRoster(signed(joined), orgKey.publicKey)).not.toThrow();
  });

  test.each([
    ["one parent", [{ ...own, parents: own.parents.slice(1) }]],
    ["three", [{ ...own, parents: [left, right, third].map(nameRoster) }]],
    ["the same twice", [{ ...own, parents: [nameRoster(left), nameRoster(left)] }]],
    ["its parents in another order", [{ ...own, parents: own.parents.toReversed() }]],
    ["a hash of something else", [{ ...own, sha256: nameRoster(left).sha256 }]],
    ["a version of its own choice", [{ ...own, version: 5 }]],
    ["a version that is still to come", [{ ...own, version: 8, parents: [nameRoster(left), nameRoster(plain(7, 1))] }]],
    ["the same join twice", [own, own]],
    ["more than it may", Array.from({ length: 65 }, () => own)],
  ])("is refused with %s, whoever signed it", (_, joins) => {
    expect(answer(signed({ ...joined, joins }), left)).toBe("roster.refused");
  });

  test("is made up by no operator behind the version that it says: a server that has the one before takes none", () => {
    const before = signed(plain(8, 1));
    const madeUp = (version: number, count: number) =>
      Array.from({ length: count }, (_, mark) => ({
        ...own,
        version,
        parents: [nameRoster(plain(version - 2, mark)), nameRoster(plain(version - 1, mark))],
      }));
    const named = { ...own, version: 9, parents: [nameRoster(plain(6, 0)), nameRoster(before)] };
    for (const joins of [madeUp(2, 1), madeUp(8, 1), madeUp(5, 64), madeUp(9, 1), [named]]) {
      const next = signed(plain(9, 2, joins), operator);
      expect(() => checkRoster(next, before, orgKey.publicKey)).toThrow(expect.objectContaining({ name: "Problem" }));
      expect(answer(next, before)).toMatch(/^roster\.(?:split|refused)$/);
    }
    expect(checkRoster(signed(plain(9, 2), operator), before, orgKey.publicKey)).toBe("new");
  });

  test("made twice of the same two is another each time: who holds one takes neither the other nor what follows it", () => {
    const twin = join(left, right, 7);
    for (const next of [joined, follow(joined, 9)]) expect(answer(signed(next), twin)).toBe("roster.split");
    for (const held of [joined, twin]) expect(takes(held, join(joined, twin))).toBe(true);
  });

  test("follows on a server that has either of the two, and on none that has a third", () => {
    for (const held of [left, right]) expect(checkRoster(signed(joined), signed(held), orgKey.publicKey)).toBe("new");
    expect(() => checkRoster(signed(joined), signed(third), orgKey.publicKey)).toThrow("signed apart");
  });

  test("reads as it was written, and one without joins is written as ever", () => {
    const whole = signed(join(joined, third));
    expect(readRosterDocument(JSON.parse(JSON.stringify(describeRoster(whole))))).toEqual(whole);
    expect(Object.keys(describeRoster(signed(left)))).not.toContain("joins");
  });
});

test("two of one version are told apart from a forgery", () => {
  expect(answer(signed(left), right)).toBe("roster.split");
  expect(answer(signed(left, stranger), right)).toBe("roster.refused");
  expect(answer(signed(left), left)).toBe("same");
});

interface Made {
  readonly roster: SignedRoster;
  readonly ancestors: ReadonlySet<Made>;
}

const line = ({ ancestors, ...own }: Made) => [{ ancestors, ...own }, ...ancestors];
const joinsBehind = (made: Made) => line(made).filter(({ roster }) => isJoin(roster));
const isParentOf = ({ roster }: Made, child: Roster) => {
  const names = child.joins?.at(-1)?.parents.map(({ sha256 }) => base64url(sha256)) ?? [];
  return names.includes(base64url(nameRoster(roster).sha256));
};

/** Organisations that split and join as they like, by honest hands alone. */
const histories = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.boolean()), { minLength: 2, maxLength: 9 }).map((steps) => {
  const made: Made[] = [{ roster: signed(plain(1, 0)), ancestors: new Set() }];
  for (const [at, [one, other, mayJoin]] of steps.entries()) {
    const [a, b] = [made[one % made.length], made[other % made.length]];
    if (a === undefined || b === undefined) continue;
    const isSplit = a !== b && !a.ancestors.has(b) && !b.ancestors.has(a);
    const next = mayJoin && isSplit ? join(a.roster, b.roster, at) : follow(a.roster, at + 1);
    const ancestors = new Set(isJoin(next) ? [a, b, ...a.ancestors, ...b.ancestors] : [a, ...a.ancestors]);
    made.push({ roster: signed(next), ancestors });
  }
  return made;
});

/** What happens at a node for each roster that it may hold, and each that a server may show it. */
const forEachStep = (check: (step: { held: Made; next: Made; isTaken: boolean }) => void) =>
  fc.property(histories, (made) => {
    for (const held of made) {
      for (const next of made) check({ held, next, isTaken: answer(next.roster, held.roster) === "new" });
    }
  });

/** One failure is a history of a few rosters: to make it smaller takes longer than to read it. */
const RUNS = { numRuns: 40, endOnFailure: true };

test("whatever a server shows, nobody goes back to a lower version, or leaves a join behind", () => {
  const property = forEachStep(({ held, next, isTaken }) => {
    if (!isTaken) return;
    expect(next.roster.version).toBeGreaterThan(held.roster.version);
    expect(next.roster.joins ?? []).toEqual(expect.arrayContaining([...(held.roster.joins ?? [])]));
  });
  fc.assert(property, RUNS);
});

test("a join is taken over one of its parents, or over what is older than its newer parent, and over nothing else", () => {
  const property = forEachStep(({ held, next, isTaken }) => {
    if (!isTaken || !isJoin(next.roster) || isParentOf(held, next.roster)) return;
    expect(held.roster.version).toBeLessThan(next.roster.version - 1);
  });
  fc.assert(property, RUNS);
});

test("who holds a rival of what was joined takes neither the join nor what comes after it", () => {
  const property = forEachStep(({ held, next, isTaken }) => {
    if (!isTaken || next.ancestors.has(held)) return;
    const news = joinsBehind(next).filter((one) => !line(held).some(({ roster }) => roster === one.roster));
    for (const { roster } of news) expect(held.roster.version).toBeLessThan(roster.version - 1);
  });
  fc.assert(property, RUNS);
});

test("who holds a parent follows the join and all that comes after it", () => {
  const property = forEachStep(({ held, next, isTaken }) => {
    if (joinsBehind(next).some(({ roster }) => isParentOf(held, roster))) expect(isTaken).toBe(true);
  });
  fc.assert(property, RUNS);
});
