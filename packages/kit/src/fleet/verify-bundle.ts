import { base64url, bundleTuple, Problem } from "@gatehouse/core";
import { checkLaterRoster } from "../keys/check-roster.ts";
import { checkKeySet, type KeySetDocument, keysFor } from "../keys/key-set-document.ts";
import { describeRoster, type RosterDocument, readRosterDocument } from "../keys/roster-document.ts";
import { sha256 } from "../keys/sha256.ts";
import { verifySignature } from "../keys/signing-key.ts";
import {
  type FleetCredential,
  type FleetGrant,
  type FleetPolicy,
  type ManifestEntry,
  parseJson,
  readManifest,
  readPolicyPart,
} from "./bundle-document.ts";
import { type RefusedCredential, vouchCredentials } from "./vouch-credentials.ts";

/** What a node holds against a server: what enrollment proved, and the newest that it took since. */
export interface BundleTrust {
  readonly orgId: string;
  readonly nodeId: string;
  readonly orgKey: Uint8Array;
  readonly serverIdentityKey: Uint8Array;
  readonly keySet: KeySetDocument;
  readonly roster: RosterDocument;
}

/** A manifest with the signature of the server's bundle key. */
export interface SignedBundle {
  readonly epoch: number;
  readonly generation: number;
  readonly issuedAt: number;
  readonly manifest: string;
  readonly keyId: string;
  readonly signature: Uint8Array;
}

/** Desired state of which every part is what somebody who may has signed. */
export interface VerifiedBundle {
  readonly signed: SignedBundle;
  readonly keySet: KeySetDocument;
  readonly roster: RosterDocument;
  readonly credentials: readonly FleetCredential[];
  readonly grants: readonly FleetGrant[];
  readonly policies: readonly FleetPolicy[];
  /** What is not among the credentials and grants for what it says of itself. */
  readonly refused: readonly RefusedCredential[];
}

/** The parts of a manifest by what they hash to, in base64url. */
export type BundleParts = ReadonlyMap<string, Uint8Array>;

/**
 * Takes a bundle apart and believes nothing of it that is not signed: by the bundle key of a key set that the pinned
 * identity key signed; the roster by the org key or an operator key of the version before; each credential by an
 * operator key that the roster lists, or the org key; each grant within what its credential was sealed for. What is wrong
 * with one credential refuses that one alone, and all else fails with `bundle.refused`, `roster.refused`,
 * `roster.split`, `server.untrusted`.
 */
export function verifyBundle(signed: SignedBundle, parts: BundleParts, trust: BundleTrust): VerifiedBundle {
  const entries = readManifest(signed.manifest);
  const contents = new Map(entries.map((entry) => [entry, contentOf(entry, parts)]));
  const of = (kind: ManifestEntry["kind"]) =>
    entries.filter((entry) => entry.kind === kind).map((entry) => ({ ...entry, content: contents.get(entry) ?? "" }));
  const keySet = newestKeySet(of("key_set").map(({ content }) => parseJson(content))[0], trust);
  requireSignature(signed, keySet, trust);
  const roster = newestRoster(of("roster").map(({ content }) => parseJson(content))[0], trust);
  const vouched = vouchCredentials({ credentials: of("credential"), grants: of("grant") }, roster, trust);
  const policies = of("policy").map(({ content }) => readPolicyPart(content));
  return { signed, keySet, roster, ...vouched, policies };
}

function contentOf({ sha256: named }: ManifestEntry, parts: BundleParts): string {
  const bytes = parts.get(named);
  if (bytes === undefined) throw refused("A part is missing.");
  if (base64url(sha256(bytes)) !== named) throw refused("A part is not what the manifest names.");
  return new TextDecoder().decode(bytes);
}

/** A key set of a higher epoch stands in place of the one before, when the pinned identity key signed it. */
function newestKeySet(offered: unknown, { keySet, serverIdentityKey }: BundleTrust): KeySetDocument {
  if (offered === undefined) return keySet;
  const next = checkKeySet(offered, serverIdentityKey);
  if (next.epoch < keySet.epoch) throw refused("Its key set is older than the one that is known.");
  return next.epoch === keySet.epoch ? keySet : next;
}

function requireSignature(signed: SignedBundle, keySet: KeySetDocument, { orgId, nodeId }: BundleTrust): void {
  const { epoch, generation, issuedAt, manifest, keyId, signature } = signed;
  const tuple = bundleTuple({ orgId, nodeId, epoch, generation }, issuedAt, sha256(manifest));
  if (!isByBundleKey(keySet, { epoch, keyId }, { tuple, signature }))
    throw refused("It is not signed by the bundle key.");
}

/**
 * Whether the bundle key of that id in the key set signed these bytes, for the key set's own epoch: who has its keys for
 * a while would otherwise sign for one that no later key set reaches.
 */
export function isByBundleKey(
  keySet: KeySetDocument,
  { epoch, keyId }: { readonly epoch: number; readonly keyId: string },
  { tuple, signature }: { readonly tuple: Uint8Array; readonly signature: Uint8Array },
): boolean {
  const found = keysFor(keySet, "bundle").find(({ id }) => id === keyId);
  return found !== undefined && epoch === keySet.epoch && verifySignature(found.key, tuple, signature);
}

/** A higher version stands in place of the one that is known, where neither was signed apart from the other. */
function newestRoster(offered: unknown, { roster: known, orgKey, orgId }: BundleTrust): RosterDocument {
  if (offered === undefined) return known;
  const next = readRosterDocument(offered);
  const placed = checkLaterRoster(next, { ...readRosterDocument(known), orgId }, orgKey);
  return placed === "same" ? known : describeRoster(next);
}

function refused(detail: string): Problem {
  return new Problem("bundle.refused", { detail });
}
