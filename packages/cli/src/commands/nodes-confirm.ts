import { enrollmentTuple, isFingerprint, Problem, type Roster } from "@gatehouse/core";
import { type SignedRoster, sha256 } from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { signRoster } from "../operator/sign-roster.ts";
import { refuseTakenId } from "../operator/taken-id.ts";
import { trustRoster } from "../operator/trusted-roster.ts";
import { findWaitingHost, type WaitingHost } from "../operator/waiting-host.ts";
import { printJson, printLine } from "../terminal/print.ts";
import { describeNode } from "./nodes-ls.ts";

/**
 * Confirms a node. The fingerprint is computed here, from exactly the keys that go on the roster, and compared with what
 * the person read off the host: the server's word is not enough.
 */
export async function confirm(invocation: Invocation): Promise<number> {
  const typed = textOption(invocation, "fingerprint") ?? (await askFingerprint());
  const node = await asOperator(invocation.config.state.dir, (operator) =>
    confirmNode(operator, invocation.args[0] ?? "", typed),
  );
  if (isSet(invocation, "json")) printJson(describeNode(node));
  else printLine(`Confirmed ${node.name}. It is on the roster.`);
  return 0;
}

async function confirmNode(operator: Operator, asked: string, fingerprint: string) {
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
  const done = await nodes.confirmNode({ nodeId, enrollmentId, fingerprint, roster });
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
  };
}

async function askFingerprint(): Promise<string> {
  if (process.stdin.isTTY !== true) throw new Problem("usage.invalid", { detail: "--fingerprint is needed here." });
  const [{ text }, { ask }] = await Promise.all([import("@clack/prompts"), import("../terminal/ask.ts")]);
  return ask((signal) => text({ message: "Fingerprint, as the host printed it", signal }), "Nothing was confirmed.");
}
