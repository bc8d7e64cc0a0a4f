import { createPublicKey, generateKeyPairSync } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import {
  openSealingKey,
  openSigningKey,
  readPrivateFile,
  type SealingKey,
  type SigningKey,
  writeFileAtomic,
} from "@gatehouse/kit";

/** What a host proves itself with, opens what is sealed to it with, and signs its agents' leaves with. */
export interface HostKeys {
  readonly identity: SigningKey;
  readonly encryption: SealingKey;
  /** SPKI, DER, of the agents' authority (ECDSA P-256). */
  readonly caPublicKey: Uint8Array;
}

/** Reads the host's keys, or makes them: each on disk before it is used. Fails with `state.…`. */
export async function openHostKeys(stateDir: string): Promise<HostKeys> {
  return {
    identity: await openSigningKey(join(stateDir, "identity.key")),
    encryption: await openSealingKey(join(stateDir, "encryption.key")),
    caPublicKey: await openCaKey(join(stateDir, "ca")),
  };
}

async function openCaKey(directory: string): Promise<Uint8Array> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const path = join(directory, "agents.key");
  const stored = (await readPrivateFile(path))?.toString() ?? (await makeCaKey(path));
  return new Uint8Array(createPublicKey(stored).export({ type: "spki", format: "der" }));
}

async function makeCaKey(path: string): Promise<string> {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  await writeFileAtomic(path, pem);
  return pem;
}
