import {
  base64url,
  type CredentialBinding,
  canonicalJson,
  fromBase64url,
  type JsonValue,
  Problem,
} from "@gatehouse/core";
import type { KeySetDocument } from "../keys/key-set-document.ts";
import type { RosterDocument } from "../keys/roster-document.ts";
import { parseBindings, toPlain } from "./credential-bindings.ts";
import type { SealedValue } from "./sealed-credential.ts";

/** A credential as one node gets it: sealed to that node, bound and signed by an operator. */
export interface FleetCredential extends SealedValue {
  readonly credentialId: string;
  readonly name: string;
  readonly version: number;
  readonly kind: string;
  readonly bindings: readonly CredentialBinding[];
}

/** The right of runs to use a credential, within what was sealed. Its name is the credential's. */
export interface FleetGrant {
  readonly credentialId: string;
  readonly name: string;
  readonly bindings: readonly CredentialBinding[];
}

/** A policy of the organisation: what it does not allow, no run of the node may do. */
export interface FleetPolicy {
  readonly id: string;
  readonly name: string;
  /** JSON of a network policy. */
  readonly document: string;
}

export const PART_KINDS = ["credential", "grant", "key_set", "policy", "roster"] as const;
export type PartKind = (typeof PART_KINDS)[number];

/** One line of a manifest: which part, and what it hashes to. */
export interface ManifestEntry {
  readonly kind: PartKind;
  readonly id: string;
  readonly version: number;
  /** Base64url. */
  readonly sha256: string;
}

/** A part before it is hashed. */
export interface BundlePart {
  readonly kind: PartKind;
  readonly id: string;
  readonly version: number;
  /** RFC 8785 JSON. */
  readonly content: string;
}

export function credentialPart(credential: FleetCredential): BundlePart {
  const { credentialId, name, version, kind, bindings, jwe, signer, signature } = credential;
  const signed = { signer: base64url(signer), signature: base64url(signature) };
  const own = { credential_id: credentialId, name, version, kind, bindings: bindings.map(toPlain), jwe, ...signed };
  return { kind: "credential", id: credentialId, version, content: canonicalJson(own) };
}

export function grantPart({ credentialId, name, bindings }: FleetGrant, version: number): BundlePart {
  const own = { credential_id: credentialId, name, bindings: bindings.map(toPlain) };
  return { kind: "grant", id: credentialId, version, content: canonicalJson(own) };
}

export function policyPart({ id, name, document }: FleetPolicy, version: number): BundlePart {
  return { kind: "policy", id, version, content: canonicalJson({ id, name, document }) };
}

export function rosterPart(roster: RosterDocument): BundlePart {
  const content = canonicalJson(roster as unknown as JsonValue);
  return { kind: "roster", id: "roster", version: roster.version, content };
}

export function keySetPart(keySet: KeySetDocument): BundlePart {
  const content = canonicalJson(keySet as unknown as JsonValue);
  return { kind: "key_set", id: "key-set", version: keySet.epoch, content };
}

/** The text of a manifest, in the order of (kind, id). */
export function writeManifest(entries: readonly ManifestEntry[]): string {
  const ordered = [...entries].sort((a, b) => (orderOf(a) < orderOf(b) ? -1 : 1));
  return canonicalJson(ordered.map(({ kind, id, version, sha256 }) => ({ kind, id, version, sha256 })));
}

/** Reads a manifest. Fails with `bundle.refused` for what is none, or names a part twice. */
export function readManifest(text: string): readonly ManifestEntry[] {
  const entries = parseJson(text) as readonly ManifestEntry[];
  const hasForm =
    Array.isArray(entries) &&
    entries.every(
      ({ kind, id, version, sha256 }) =>
        PART_KINDS.includes(kind) &&
        typeof id === "string" &&
        Number.isSafeInteger(version) &&
        typeof sha256 === "string" &&
        fromBase64url(sha256)?.length === 32,
    );
  if (!hasForm || writeManifest(entries) !== text) throw refused("Its manifest cannot be read.");
  if (new Set(entries.map(orderOf)).size !== entries.length) throw refused("Its manifest names a part twice.");
  return entries;
}

export function readCredentialPart(content: string): FleetCredential {
  const value = parseJson(content) as Readonly<Record<string, unknown>>;
  const { credential_id, name, version, kind, bindings, jwe, signer, signature } = value;
  return {
    credentialId: text(credential_id),
    name: text(name),
    version: counted(version),
    kind: text(kind),
    bindings: parseBindings(bindings),
    jwe: text(jwe),
    signer: bytes(signer),
    signature: bytes(signature),
  };
}

export function readGrantPart(content: string): FleetGrant {
  const { credential_id, name, bindings } = parseJson(content) as Readonly<Record<string, unknown>>;
  return { credentialId: text(credential_id), name: text(name), bindings: parseBindings(bindings) };
}

export function readPolicyPart(content: string): FleetPolicy {
  const { id, name, document } = parseJson(content) as Readonly<Record<string, unknown>>;
  return { id: text(id), name: text(name), document: text(document) };
}

/** JSON of a part. Fails with `bundle.refused`. */
export function parseJson(content: string): unknown {
  try {
    const value: unknown = JSON.parse(content);
    if (typeof value === "object" && value !== null) return value;
  } catch {
    // No JSON at all: the same problem as JSON of another kind.
  }
  throw refused("A part cannot be read.");
}

function orderOf({ kind, id }: { readonly kind: string; readonly id: string }): string {
  return `${kind}\n${id}`;
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  throw refused("A part cannot be read.");
}

function counted(value: unknown): number {
  if (Number.isSafeInteger(value) && Number(value) > 0) return Number(value);
  throw refused("A part cannot be read.");
}

function bytes(value: unknown): Uint8Array {
  const read = typeof value === "string" ? fromBase64url(value) : undefined;
  if (read === undefined) throw refused("A part cannot be read.");
  return read;
}

function refused(detail: string): Problem {
  return new Problem("bundle.refused", { detail });
}
