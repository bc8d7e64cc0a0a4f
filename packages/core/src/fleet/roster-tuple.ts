import { encodeTuple, type TupleField } from "../encoding/signed-tuple.ts";

type Bytes = Uint8Array;

export interface RosterNode {
  readonly nodeId: string;
  readonly identityKey: Bytes;
  readonly encryptionKey: Bytes;
  readonly caKey: Bytes;
}

/** One roster, named by what was signed. */
export interface RosterName {
  readonly version: number;
  /** SHA-256 of its tuple. */
  readonly sha256: Bytes;
}

/** Two rosters that were signed apart, and the version that took both in. */
export interface RosterJoin {
  readonly version: number;
  /** Two, the older one first; of one version by what they hash to. */
  readonly parents: readonly RosterName[];
  /** Of that version's tuple without any joins: two may have been made of the same parents. */
  readonly sha256: Bytes;
}

export interface Roster {
  readonly orgId: string;
  readonly version: number;
  readonly issuedAt: number;
  readonly nodes: readonly RosterNode[];
  readonly operatorKeys: readonly Bytes[];
  /** Joins of this version and of those before it, oldest first; none is the rule. */
  readonly joins?: readonly RosterJoin[] | undefined;
}

/**
 * What an org key, or an operator key of the version before, signs. With joins it is a tuple of another domain: whoever
 * does not know of them, or is shown the roster without them, finds it signed by nobody.
 */
export function rosterTuple({ orgId, version, issuedAt, nodes, operatorKeys, joins = [] }: Roster): Bytes {
  const list = nodes.map(({ nodeId, identityKey, encryptionKey, caKey }): TupleField => {
    return [nodeId, identityKey, encryptionKey, caKey];
  });
  const own: readonly TupleField[] = [orgId, version, issuedAt, list, [...operatorKeys]];
  if (joins.length === 0) return encodeTuple("gatehouse/roster/v1", ...own);
  return encodeTuple("gatehouse/roster/v2", ...own, joins.map(joinField));
}

function joinField({ version, parents, sha256 }: RosterJoin): TupleField {
  return [version, parents.map((parent): TupleField => [parent.version, parent.sha256]), sha256];
}
