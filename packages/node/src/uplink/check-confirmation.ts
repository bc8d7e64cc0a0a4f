import { constantTimeEqual, Problem, Secret } from "@gatehouse/core";
import { checkFirstRoster, checkKeySet, describeRoster, readRosterDocument, type SignedRoster } from "@gatehouse/kit";
import * as z from "zod";
import type { HostKeys } from "./host-keys.ts";
import type { EnrolledNode, PendingEnrollment } from "./node-files.ts";

const answerSchema = z.object({
  node_id: z.string(),
  api_key: z.string(),
  key_set: z.unknown(),
  roster: z.unknown(),
  ca_chain: z.array(z.string()),
});

/** The keys that a host proved. */
export interface ProvenKeys {
  readonly identity: Pick<HostKeys["identity"], "publicKey">;
  readonly encryption: Pick<HostKeys["encryption"], "publicKey">;
  readonly caPublicKey: Uint8Array;
}

export interface Confirmed extends Pick<EnrolledNode, "key_set" | "roster" | "ca_chain"> {
  readonly apiKey: Secret;
}

/**
 * Holds what a server sealed to this host against what the pin proved: the same node, a key set of the pinned identity,
 * of which the newest that was seen stands, and a roster of this organisation that the org key signed and that names
 * exactly this host. Fails with `server.untrusted`, `roster.refused`.
 */
export function checkConfirmation(
  answer: unknown,
  pending: Pick<PendingEnrollment, "node_id" | "org_id" | "org_key" | "server_identity_key" | "key_set">,
  keys: ProvenKeys,
): Confirmed {
  const read = answerSchema.safeParse(answer);
  if (!read.success) throw new Problem("server.untrusted", { detail: "What it sealed cannot be read." });
  const { node_id, api_key, key_set, ca_chain } = read.data;
  if (node_id !== pending.node_id) throw new Problem("server.untrusted", { detail: "It confirmed another node." });
  const sealed = checkKeySet(key_set, pending.server_identity_key);
  const newest = sealed.epoch > pending.key_set.epoch ? sealed : pending.key_set;
  const roster = readRosterDocument(read.data.roster);
  requireOwnRoster(roster, pending, keys);
  return { apiKey: new Secret(api_key), key_set: newest, roster: describeRoster(roster), ca_chain };
}

function requireOwnRoster(
  roster: SignedRoster,
  { org_id, org_key, node_id }: Pick<PendingEnrollment, "org_id" | "org_key" | "node_id">,
  keys: ProvenKeys,
): void {
  if (roster.orgId !== org_id) throw new Problem("roster.refused", { detail: "It is another organisation's." });
  // The org key itself must have signed the first roster that a node sees: it knows no operator's key yet.
  checkFirstRoster(roster, org_key);
  const own = roster.nodes.find(({ nodeId }) => nodeId === node_id);
  const isThisHost =
    own !== undefined &&
    constantTimeEqual(own.identityKey, keys.identity.publicKey) &&
    constantTimeEqual(own.encryptionKey, keys.encryption.publicKey) &&
    constantTimeEqual(own.caKey, keys.caPublicKey);
  if (!isThisHost) throw new Problem("roster.refused", { detail: "It does not name this host by the keys it proved." });
}
