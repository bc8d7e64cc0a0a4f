import { constantTimeEqual, Problem, type RosterNode } from "@gatehouse/core";
import type { SignedRoster } from "@gatehouse/kit";

/**
 * A fingerprint says nothing of the id, which is the server's choice: one that stands for another node would put this
 * host's keys in that node's place, and what is sealed to it by name later would be sealed to this host. Fails with
 * `server.untrusted` for an id that the roster, or this machine, knows as another node's.
 */
export function refuseTakenId(
  host: RosterNode & { readonly name: string },
  roster: Pick<SignedRoster, "nodes">,
  names: ReadonlyMap<string, string>,
): void {
  const isAnother = roster.nodes.some((node) => node.nodeId === host.nodeId && !hasSameKeys(node, host));
  const isNamed = [...names].some(([name, id]) => id === host.nodeId && name !== host.name);
  if (isAnother || isNamed) {
    throw new Problem("server.untrusted", { detail: "It shows this host under the id of another node." });
  }
}

function hasSameKeys(a: RosterNode, b: RosterNode): boolean {
  return (["identityKey", "encryptionKey", "caKey"] as const).every((key) => constantTimeEqual(a[key], b[key]));
}
