import { enrollmentTuple, isFingerprint, Problem } from "@gatehouse/core";
import { type SigningKey, sha256 } from "@gatehouse/kit";
import { type Node, NodeState } from "@gatehouse/wire";
import { shown } from "../terminal/print.ts";
import type { Operator } from "./open-operator.ts";
import { trustRoster } from "./trusted-roster.ts";
import { findWaitingHost, type WaitingHost } from "./waiting-host.ts";

/** A host that waits, by name or id, with the fingerprint that it printed itself. */
export interface PrintedHost {
  readonly asked: string;
  readonly fingerprint: string;
}

export type ComparedHost = WaitingHost & { readonly host: PrintedHost };

/** A host that is on the roster. */
export interface ConfirmedHost {
  readonly node: Node;
  /** It was before, by the same fingerprint. */
  readonly isRepeated: boolean;
}

/**
 * Compares what a host printed with the fingerprint that is computed here: of one that waits from the keys that are to go
 * on the roster, of one that is confirmed from those that are there. Fails with `enroll.wrong_fingerprint`,
 * `enroll.not_waiting`.
 */
export async function compareHost(
  operator: Operator,
  host: PrintedHost,
  orgKey: SigningKey,
): Promise<ComparedHost | ConfirmedHost> {
  const fingerprint = { text: host.fingerprint, operator, orgKey };
  let waiting: WaitingHost;
  try {
    waiting = await findWaitingHost(operator, host.asked);
  } catch (failure) {
    const isOver = failure instanceof Problem && failure.code === "enroll.not_waiting";
    const node = isOver ? await findConfirmed(operator, host, fingerprint) : undefined;
    if (node === undefined) throw failure;
    return { node, isRepeated: true };
  }
  if (isOf(fingerprint, waiting)) return { ...waiting, host };
  throw new Problem("enroll.wrong_fingerprint", {
    detail: "It was not confirmed. Do not confirm it before you know why.",
  });
}

/** `undefined`: it was not confirmed as far as this machine can tell; a server of before does not say by which code. */
async function findConfirmed(operator: Operator, { asked }: PrintedHost, fingerprint: Fingerprint) {
  const { node, codeSha256 } = await operator.nodes.getNode({ node: asked });
  if (node?.state !== NodeState.CONFIRMED || codeSha256.length === 0) return undefined;
  const { id, name } = node;
  const roster = await trustRoster(await operator.org.getOrg({}), operator);
  const listed = roster.nodes.find(({ nodeId }) => nodeId === id);
  if (listed === undefined) return undefined;
  if (!isOf(fingerprint, { ...listed, name, codeSha256 })) {
    const detail = `${shown(name)} is confirmed already, and this is not its fingerprint.`;
    throw new Problem("enroll.wrong_fingerprint", { detail });
  }
  await operator.files.rememberNode(name, id);
  return node;
}

interface Fingerprint {
  readonly text: string;
  readonly operator: Pick<Operator, "server">;
  readonly orgKey: SigningKey;
}

type Enrolled = Pick<WaitingHost, "codeSha256" | "name" | "identityKey" | "encryptionKey" | "caKey">;

function isOf({ text, operator: { server }, orgKey }: Fingerprint, enrolled: Enrolled): boolean {
  const { codeSha256, name, identityKey, encryptionKey, caKey } = enrolled;
  const own = { codeSha256, name, identityKey, encryptionKey, caKey };
  const { identityKey: serverIdentityKey, orgId } = server;
  const tuple = enrollmentTuple({ serverIdentityKey, orgId, orgKey: orgKey.publicKey, ...own });
  return isFingerprint(text, sha256(tuple));
}
