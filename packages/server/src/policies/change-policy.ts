import { canonicalJson, compilePolicy, type JsonValue, makeUuid, Problem, type Random } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { type RaiseTransaction, raiseGeneration } from "../bundles/raise-generation.ts";
import { holdsNode, type Labels } from "./holds-node.ts";
import type { PolicyRecords } from "./policy-records.ts";

export interface PolicyTransaction extends RaiseTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly policies: PolicyRecords;
}

interface NamedPolicy {
  readonly actor: string;
  readonly name: string;
}

export interface PutPolicyInput extends NamedPolicy {
  /** RFC 8785 JSON. */
  readonly document: string;
  /** The version that must hold now, 0: none; `undefined`: whatever holds. */
  readonly expectedVersion: number | undefined;
}

export interface PutOutcome {
  readonly version: number;
  /** False: the same policy held already. */
  readonly hasChanged: boolean;
  /** Whom to tell. */
  readonly nodeIds: readonly string[];
}

const MAX_NODES = 100_000;
/** As many versions of a policy are kept. */
const MAX_VERSIONS = 100;

/**
 * Stores the next version of a policy that every run of the nodes that it holds is held by. Fails with `policy.invalid`,
 * and with `policies.changed` where another version holds than is expected.
 */
export async function putPolicy(tx: PolicyTransaction, input: PutPolicyInput, random: Random): Promise<PutOutcome> {
  const { actor, name, document, expectedVersion } = input;
  requirePolicy(document);
  // One change after the other: each takes the next number.
  await tx.nodes.lockDesired();
  const before = await tx.policies.find(name);
  const held = before?.version ?? 0;
  if (expectedVersion !== undefined && expectedVersion !== held) {
    throw new Problem("policies.changed", { detail: `Version ${held} holds.` });
  }
  if (before?.document === document) return { version: held, hasChanged: false, nodeIds: [] };
  const [newest] = await tx.policies.versions(name);
  const version = Math.max(newest?.version ?? 0, held) + 1;
  const id = before?.id ?? makeUuid(tx.now(), random);
  await tx.policies.put({ id, name, document, version, actor });
  await tx.policies.removeVersionsBefore(name, version - MAX_VERSIONS + 1);
  const nodeIds = await raiseHeld(tx, [before?.labels ?? {}]);
  await tx.audit.append({ kind: "policy.changed", actor, data: { name, version } });
  return { version, hasChanged: true, nodeIds };
}

/** Says which nodes a policy holds. Answers whom to tell. Fails with `policies.not_found`. */
export async function assignPolicy(
  tx: PolicyTransaction,
  { actor, name, labels }: NamedPolicy & { readonly labels: Labels },
): Promise<readonly string[]> {
  await tx.nodes.lockDesired();
  const before = await tx.policies.find(name);
  if (before === undefined) throw new Problem("policies.not_found");
  const said = canonicalJson(labels);
  if (canonicalJson(before.labels) === said) return [];
  await tx.policies.setLabels(name, labels);
  const nodeIds = await raiseHeld(tx, [before.labels, labels]);
  await tx.audit.append({ kind: "policy.assigned", actor, data: { name, labels: said } });
  return nodeIds;
}

/** Takes a policy away. Answers whom to tell. Fails with `policies.not_found`. */
export async function deletePolicy(tx: PolicyTransaction, { actor, name }: NamedPolicy): Promise<readonly string[]> {
  await tx.nodes.lockDesired();
  const before = await tx.policies.find(name);
  if (before === undefined || !(await tx.policies.remove(name))) throw new Problem("policies.not_found");
  const nodeIds = await raiseHeld(tx, [before.labels]);
  await tx.audit.append({ kind: "policy.deleted", actor, data: { name } });
  return nodeIds;
}

function requirePolicy(document: string): void {
  let policy: unknown;
  try {
    policy = JSON.parse(document);
  } catch (cause) {
    throw new Problem("policy.invalid", { detail: "It is no JSON.", cause });
  }
  compilePolicy(policy);
  if (canonicalJson(policy as JsonValue) !== document) {
    throw new Problem("policy.invalid", { detail: "It is not written canonically." });
  }
}

/** The nodes that a policy with any of these labels holds. */
async function raiseHeld(tx: PolicyTransaction, labels: readonly Labels[]): Promise<readonly string[]> {
  const nodes = await tx.nodes.list({ state: "confirmed", limit: MAX_NODES });
  const held = nodes.filter((node) => labels.some((one) => holdsNode({ labels: one }, node)));
  const raised = await raiseGeneration(
    tx,
    held.map(({ id }) => id),
  );
  return raised.map(({ id }) => id);
}
