import { constantTimeEqual, Problem, type RosterNode } from "@gatehouse/core";
import type { SignedRoster } from "@gatehouse/kit";

/**
 * A fingerprint says nothing of the id, which is the server's choice: one that stands for another node would put this
 * host's keys in that node's place, and what is sealed to it by name later would be sealed to this host. Nor does it say
 * whom the host replaces, who leaves the roster with that. Fails with `server.untrusted` for an id that the roster, or
 * this machine, knows as another node's, and for a host that would replace another node than the one of its name.
 */
export function refuseTakenId(
  host: RosterNode & { readonly name: string; readonly replacesNodeId: string },
  roster: Pick<SignedRoster, "nodes">,
  names: ReadonlyMap<string, string>,
): void {
  const isAnother = roster.nodes.some((node) => node.nodeId === host.nodeId && !hasSameKeys(node, host));
  const isNamed = [...names].some(([name, id]) => id === host.nodeId && name !== host.name);
  if (isAnother || isNamed) {
    throw new Problem("server.untrusted", { detail: "It shows this host under the id of another node." });
  }
  const replaced = names.get(host.name);
  if (host.replacesNodeId !== "" && replaced !== undefined && replaced !== host.replacesNodeId) {
    throw new Problem("server.untrusted", {
      detail: `It would replace another node than the ${host.name} that was confirmed here.`,
    });
  }
}

/** Whether both are the same host. */
export function hasSameKeys(a: RosterNode, b: RosterNode): boolean {
  return (["identityKey", "encryptionKey", "caKey"] as const).every((key) => constantTimeEqual(a[key], b[key]));
}
