import { createHash, createPublicKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rename } from "node:fs/promises";
import { join } from "node:path";
import { type KeyUse, keySetTuple, Problem } from "@gatehouse/core";
import {
  type CertificateAuthority,
  checkKeySet,
  createCa,
  describeKeySet,
  type KeySetDocument,
  openSigningKey,
  readPrivateFile,
  type SigningKey,
  syncDirectory,
  writeFileAtomic,
} from "@gatehouse/kit";

/** A key that signs one kind of thing, and the name under which the key set lists it. */
export interface WorkingKey {
  readonly id: string;
  readonly key: SigningKey;
}

type SigningUse = Extract<KeyUse, "channel" | "command" | "bundle" | "approval" | "audit">;

/** What this server signs and proves itself with. */
export interface ServerKeys {
  /** Ed25519: what nodes and codes are pinned to. Signs key sets and nothing else. */
  readonly identityKey: Uint8Array;
  readonly keySet: KeySetDocument;
  readonly working: Readonly<Record<SigningUse, WorkingKey>>;
  readonly tlsCa: CertificateAuthority;
  readonly agentCa: CertificateAuthority;
  /** Shared by all replicas: challenges and nonces are checked by any of them. */
  readonly macKey: Uint8Array;
}

const SIGNING_USES = ["channel", "command", "bundle", "approval", "audit"] as const satisfies readonly SigningUse[];
const CA_DAYS = 3_650;
const FIRST_EPOCH = 1;
const MAC_KEY_BYTES = 32;
const KEY_SET_FILE = "key-set.json";

/**
 * Reads the server's keys, or makes them at the first start: each on disk before it is used. `directory` is the
 * server's part of the state directory; replicas hold the same files. Fails with `state.…`.
 */
export async function openServerKeys(directory: string, deps: KeyDeps): Promise<ServerKeys> {
  const identity = await openSigningKey(join(directory, "identity.key"));
  await finishRotation(directory);
  return makeWorkingKeys(join(directory, "keys"), { identity, epoch: FIRST_EPOCH }, deps);
}

/** A rotation that was killed between its two renames left no current keys but complete next ones. */
async function finishRotation(directory: string): Promise<void> {
  const [current, next] = [join(directory, "keys"), join(directory, "keys.next")];
  if (existsSync(current) || !existsSync(join(next, KEY_SET_FILE))) return;
  await rename(next, current);
  await syncDirectory(directory);
}

/** Whose the keys are, and the epoch of a key set that is made. */
export interface KeySetOwner {
  readonly identity: SigningKey;
  readonly epoch: number;
}

/** Reads the working keys of a directory, or makes those that are not there; the key set that lists them comes last. */
export async function makeWorkingKeys(directory: string, owner: KeySetOwner, deps: KeyDeps): Promise<ServerKeys> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const macKey = await openMacKey(join(directory, "mac.key"), deps.randomBytes);
  const opened = await Promise.all(
    SIGNING_USES.map(async (use) => [use, toWorkingKey(await openSigningKey(join(directory, `${use}.key`)))] as const),
  );
  const working = Object.fromEntries(opened) as Record<SigningUse, WorkingKey>;
  const tlsCa = await openAuthority(join(directory, "tls-ca"), "Gatehouse server", 0);
  const agentCa = await openAuthority(join(directory, "agent-ca"), "Gatehouse agents", 1);
  const own = { working, tlsCa, agentCa };
  const path = join(directory, KEY_SET_FILE);
  const keySet = await openKeySet(path, owner, { ...own, now: deps.now });
  return { identityKey: owner.identity.publicKey, keySet, ...own, macKey };
}

export interface KeyDeps {
  /** Unix milliseconds. */
  readonly now: () => number;
  readonly randomBytes: (length: number) => Uint8Array;
}

/** SPKI, DER, of a certificate's key. */
export function spkiOf(certificatePem: string): Uint8Array {
  const { publicKey } = new X509Certificate(certificatePem);
  return new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
}

interface KeySetParts extends Pick<ServerKeys, "working" | "tlsCa" | "agentCa"> {
  readonly now: () => number;
}

async function openKeySet(path: string, owner: KeySetOwner, parts: KeySetParts): Promise<KeySetDocument> {
  const { identity, epoch } = owner;
  const keys = listKeys(parts);
  const stored = await readPrivateFile(path);
  if (stored !== undefined) {
    const document = checkKeySet(JSON.parse(stored.toString()), identity.publicKey);
    const isOwn = keys.every(({ use, id }) => document.keys.some((one) => one.use === use && one.id === id));
    if (isOwn) return document;
    throw new Problem("state.corrupt", { detail: `${path} lists other keys than those beside it.` });
  }
  const keySet = { epoch, issuedAt: parts.now(), keys };
  const signature = identity.sign(keySetTuple(identity.publicKey, keySet));
  const document = describeKeySet(keySet, signature);
  await writeFileAtomic(path, JSON.stringify(document));
  return document;
}

function listKeys({ working, tlsCa, agentCa }: KeySetParts) {
  const signing = SIGNING_USES.map((use) => ({ use, id: working[use].id, key: working[use].key.publicKey }));
  const authorities = (
    [
      ["tls-ca", tlsCa],
      ["agent-ca", agentCa],
    ] as const
  ).map(([use, { certificatePem }]) => {
    const key = spkiOf(certificatePem);
    return { use, id: keyId(key), key };
  });
  return [...signing, ...authorities];
}

/** One file for both halves: an authority is never half there. */
async function openAuthority(path: string, commonName: string, pathLength: number): Promise<CertificateAuthority> {
  const stored = await readPrivateFile(`${path}.json`);
  if (stored === undefined) {
    const made = await createCa({ commonName, days: CA_DAYS, pathLength });
    // For whoever trusts by a certificate: browsers, say. Nothing of ours reads it.
    await writeFileAtomic(`${path}.pem`, made.certificatePem);
    await writeFileAtomic(`${path}.json`, JSON.stringify(made));
    return made;
  }
  const { certificatePem, privateKeyPem } = JSON.parse(stored.toString()) as CertificateAuthority;
  const spki = createPublicKey(privateKeyPem).export({ type: "spki", format: "der" });
  if (!spki.equals(spkiOf(certificatePem))) {
    throw new Problem("state.corrupt", { detail: `${path}.json holds a key of another certificate.` });
  }
  return { certificatePem, privateKeyPem };
}

async function openMacKey(path: string, randomBytes: KeyDeps["randomBytes"]): Promise<Uint8Array> {
  const stored = await readPrivateFile(path);
  if (stored !== undefined && stored.length === MAC_KEY_BYTES) return new Uint8Array(stored);
  if (stored !== undefined) throw new Problem("state.corrupt", { detail: `${path} is not a key.` });
  const made = randomBytes(MAC_KEY_BYTES);
  await writeFileAtomic(path, made);
  return made;
}

function toWorkingKey(key: SigningKey): WorkingKey {
  return { id: keyId(key.publicKey), key };
}

function keyId(publicKey: Uint8Array): string {
  return createHash("sha256").update(publicKey).digest("hex").slice(0, 16);
}
