import { encodeTuple, type TupleField } from "../encoding/signed-tuple.ts";

type Bytes = Uint8Array;

export interface RosterNode {
  readonly nodeId: string;
  readonly identityKey: Bytes;
  readonly encryptionKey: Bytes;
  readonly caKey: Bytes;
}

export interface Roster {
  readonly orgId: string;
  readonly version: number;
  readonly issuedAt: number;
  readonly nodes: readonly RosterNode[];
  readonly operatorKeys: readonly Bytes[];
}

/** What an org key, or an operator key of the version before, signs. */
export function rosterTuple({ orgId, version, issuedAt, nodes, operatorKeys }: Roster): Bytes {
  const list = nodes.map(({ nodeId, identityKey, encryptionKey, caKey }): TupleField => {
    return [nodeId, identityKey, encryptionKey, caKey];
  });
  return encodeTuple("gatehouse/roster/v1", orgId, version, issuedAt, list, [...operatorKeys]);
}
