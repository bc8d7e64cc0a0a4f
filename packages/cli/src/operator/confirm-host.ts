import { enrollmentTuple, isFingerprint, Problem, type Roster } from "@gatehouse/core";
import { type SignedRoster, sha256, writeRosterMessage } from "@gatehouse/kit";
import type { Node } from "@gatehouse/wire";
import type { Operator } from "./open-operator.ts";
import { signRoster } from "./sign-roster.ts";
import { refuseTakenId } from "./taken-id.ts";
import { trustRoster } from "./trusted-roster.ts";
import { findWaitingHost, type WaitingHost } from "./waiting-host.ts";

/**
 * Puts a host that waits on the roster. The fingerprint is computed here, from exactly the keys that go there, and
 * compared with what the host said. Fails with `enroll.wrong_fingerprint`, `enroll.not_waiting`, `server.untrusted`.
 */
export async function confirmHost(operator: Operator, asked: string, fingerprint: string): Promise<Node> {
  const { files, server, org, nodes } = operator;
  const orgKey = await files.requireOrgKey();
  const waiting = await findWaitingHost(operator, asked);
  const { nodeId, name, enrollmentId } = waiting;
  const tuple = enrollmentTuple({
    serverIdentityKey: server.identityKey,
    orgId: server.orgId,
    orgKey: orgKey.publicKey,
    codeSha256: waiting.codeSha256,
    name,
    identityKey: waiting.identityKey,
    encryptionKey: waiting.encryptionKey,
    caKey: waiting.caKey,
  });
  if (!isFingerprint(fingerprint, sha256(tuple))) {
    throw new Problem("enroll.wrong_fingerprint", {
      detail: "Nothing was confirmed. Do not confirm it before you know why.",
    });
  }
  const shown = await org.getOrg({});
  // Whoever stands on it already gets what is sealed next: proven before it is signed again.
  const before = await trustRoster(shown, operator);
  refuseTakenId(waiting, before, await files.nodeNames());
  const roster = signRoster(nextRoster(before, shown.struckNodeIds, waiting), orgKey);
  const done = await nodes.confirmNode({ nodeId, enrollmentId, fingerprint, roster: writeRosterMessage(roster) });
  await files.saveRoster(roster);
  await files.rememberNode(name, nodeId);
  return done.node ?? waiting.node;
}

/** The roster with the node on it, and without those that ended since. */
function nextRoster(before: SignedRoster, struckNodeIds: readonly string[], waiting: WaitingHost): Roster {
  const gone = new Set([...struckNodeIds, waiting.replacesNodeId]);
  const { nodeId: id, identityKey, encryptionKey, caKey } = waiting;
  const own = { nodeId: id, identityKey, encryptionKey, caKey };
  const others = before.nodes.filter(({ nodeId }) => !gone.has(nodeId) && nodeId !== own.nodeId);
  return {
    orgId: before.orgId,
    version: before.version + 1,
    issuedAt: Date.now(),
    nodes: [...others, own],
    operatorKeys: before.operatorKeys,
    joins: before.joins,
  };
}
