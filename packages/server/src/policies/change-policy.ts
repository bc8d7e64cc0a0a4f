import { canonicalJson, compilePolicy, type JsonValue, makeUuid, Problem, type Random } from "@gatehouse/core";
import type { AuditTrail } from "../audit/audit-trail.ts";
import { type RaiseTransaction, raiseGeneration } from "../bundles/raise-generation.ts";
import type { PolicyRecords } from "./policy-records.ts";

export interface PolicyTransaction extends RaiseTransaction {
  readonly now: () => number;
  readonly audit: AuditTrail;
  readonly policies: PolicyRecords;
}

export interface PutPolicyInput {
  readonly actor: string;
  readonly name: string;
  /** RFC 8785 JSON. */
  readonly document: string;
}

const MAX_NODES = 100_000;

/** Stores a policy that every run of every node is held by. Answers the nodes. Fails with `policy.invalid`. */
export async function putPolicy(
  tx: PolicyTransaction,
  { actor, name, document }: PutPolicyInput,
  random: Random,
): Promise<readonly string[]> {
  requirePolicy(document);
  await tx.policies.put({ id: makeUuid(tx.now(), random), name, document });
  await tx.audit.append({ kind: "policy.changed", actor, data: { name } });
  return raiseAll(tx);
}

/** Takes a policy away. Answers the nodes. Fails with `policies.not_found`. */
export async function deletePolicy(
  tx: PolicyTransaction,
  { actor, name }: { readonly actor: string; readonly name: string },
): Promise<readonly string[]> {
  if (!(await tx.policies.remove(name))) throw new Problem("policies.not_found");
  await tx.audit.append({ kind: "policy.deleted", actor, data: { name } });
  return raiseAll(tx);
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

async function raiseAll(tx: PolicyTransaction): Promise<readonly string[]> {
  const nodes = await tx.nodes.list({ state: "confirmed", limit: MAX_NODES });
  return (
    await raiseGeneration(
      tx,
      nodes.map(({ id }) => id),
    )
  ).map(({ id }) => id);
}
