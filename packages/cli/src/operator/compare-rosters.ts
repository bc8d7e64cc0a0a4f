import { base64url, constantTimeEqual, Problem, type Roster, type RosterNode } from "@gatehouse/core";
import { type SignedRoster, withJoin } from "@gatehouse/kit";
import { hasSameKeys } from "./taken-id.ts";

/** What stands on one of two rosters alone, or under other keys on each, and so on no join unless somebody names it. */
export interface Difference {
  readonly kind: "node" | "operator key";
  /** Node id, or the key in base64url. */
  readonly id: string;
  /** `ended`: on both, but the server ended it; `both`: a node under other keys on each. Neither can be kept. */
  readonly where: "first" | "second" | "both" | "ended";
}

export interface Compared {
  /** On both, the same on each. */
  readonly nodes: readonly RosterNode[];
  readonly operatorKeys: readonly Uint8Array[];
  readonly differences: readonly Difference[];
}

/** Two rosters of one organisation, neither of which follows the other. */
export interface Split {
  readonly first: SignedRoster;
  readonly second: SignedRoster;
  /** Ids of nodes that the server says it ended: its word takes away, and brings nothing back. */
  readonly ended: readonly string[];
}

export function compareRosters({ first, second, ended }: Split): Compared {
  const [mine, theirs] = [first, second].map(({ nodes }) => new Map(nodes.map((node) => [node.nodeId, node])));
  const differences: Difference[] = [];
  const nodes: RosterNode[] = [];
  for (const node of first.nodes) {
    const other = theirs?.get(node.nodeId);
    if (other === undefined) differences.push({ kind: "node", id: node.nodeId, where: "first" });
    else if (!hasSameKeys(node, other)) differences.push({ kind: "node", id: node.nodeId, where: "both" });
    else if (ended.includes(node.nodeId)) differences.push({ kind: "node", id: node.nodeId, where: "ended" });
    else nodes.push(node);
  }
  for (const { nodeId } of second.nodes) {
    if (mine?.has(nodeId) !== true) differences.push({ kind: "node", id: nodeId, where: "second" });
  }
  const isOn = (keys: Roster["operatorKeys"], key: Uint8Array) => keys.some((one) => constantTimeEqual(one, key));
  const only = (keys: Roster["operatorKeys"], others: Roster["operatorKeys"], where: Difference["where"]) => {
    for (const key of keys)
      if (!isOn(others, key)) differences.push({ kind: "operator key", id: base64url(key), where });
  };
  only(first.operatorKeys, second.operatorKeys, "first");
  only(second.operatorKeys, first.operatorKeys, "second");
  return { nodes, operatorKeys: first.operatorKeys.filter((key) => isOn(second.operatorKeys, key)), differences };
}

/** Which differences a person named: by id, by key, or by the name under which this machine confirmed the node. */
export function chooseKept(
  differences: readonly Difference[],
  asked: readonly string[],
  names: ReadonlyMap<string, string>,
): ReadonlySet<string> {
  return new Set(
    asked.map((text) => {
      const id = names.get(text) ?? text;
      const found = differences.find((one) => one.id === id);
      if (found?.where === "both" || found?.where === "ended") {
        throw new Problem("usage.invalid", { detail: `${text} cannot be kept: it has to be enrolled anew.` });
      }
      if (found === undefined) {
        throw new Problem("usage.invalid", { detail: `${text} is nothing that stands on one of them alone.` });
      }
      return id;
    }),
  );
}

/** The roster that takes both in: what stands on both, and of the rest what was named. Not signed yet. */
export function joinedRoster(split: Split, compared: Compared, kept: ReadonlySet<string>): Roster {
  const { first, second } = split;
  const nodes = [...first.nodes, ...second.nodes].filter(({ nodeId }) => kept.has(nodeId));
  const keys = [...first.operatorKeys, ...second.operatorKeys].filter((key) => kept.has(base64url(key)));
  const own = {
    orgId: first.orgId,
    version: Math.max(first.version, second.version) + 1,
    issuedAt: Math.max(Date.now(), first.issuedAt, second.issuedAt),
    nodes: [...compared.nodes, ...nodes],
    operatorKeys: [...compared.operatorKeys, ...keys],
  };
  return withJoin(own, first, second);
}
