import { join } from "node:path";
import { base64url, fromBase64url, Problem, Secret } from "@gatehouse/core";
import {
  checkKeySet,
  describeRoster,
  type KeySetDocument,
  openSealingKey,
  openSigningKey,
  openStateDirectory,
  readPrivateFile,
  readRosterDocument,
  readSigningKey,
  type SealingKey,
  type SignedRoster,
  type SigningKey,
  writeFileAtomic,
} from "@gatehouse/kit";

/** The server and organisation that an operator's machine belongs to. */
export interface OperatorServer {
  readonly url: string;
  readonly orgId: string;
  readonly org: string;
  readonly owner: string;
  readonly identityKey: Uint8Array;
  /** Public halves of the organisation's keys, as they were when this machine joined. */
  readonly orgKey: Uint8Array;
  readonly orgEncryptionKey: Uint8Array;
  readonly keySet: KeySetDocument;
}

/** The keys of an organisation, made on this machine and nowhere else. */
export interface OrgKeys {
  readonly signing: SigningKey;
  readonly encryption: SealingKey;
}

const KEY_BYTES = 32;

/** What an operator's machine keeps, below the state directory. Each key is a file of mode 0600. */
export class OperatorFiles {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  /** Makes both directories (0700) when they are not there. Fails as whatever opens a state directory. */
  static async open(stateDir: string): Promise<OperatorFiles> {
    const state = await openStateDirectory(stateDir);
    return new OperatorFiles(await state.directory("operator"));
  }

  /** Whether a state directory is an operator's. Makes nothing. */
  static async isOperators(stateDir: string): Promise<boolean> {
    return (await readPrivateFile(join(stateDir, "operator", "server.json"))) !== undefined;
  }

  get directory(): string {
    return this.#directory;
  }

  /** Reads the org key, or makes it: on disk before anybody hears of it. */
  async openOrgKeys(): Promise<OrgKeys> {
    const [signing, encryption] = [this.#path("org.key"), this.#path("org-encryption.key")];
    return { signing: await openSigningKey(signing), encryption: await openSealingKey(encryption) };
  }

  /** The org key where it lies on this machine. Fails with `org.key_missing`. */
  async requireOrgKey(): Promise<SigningKey> {
    const key = await readSigningKey(this.#path("org.key"));
    if (key === undefined) throw new Problem("org.key_missing", { detail: `It is looked for in ${this.#directory}.` });
    return key;
  }

  /** What opens every credential of the organisation, where it lies on this machine. */
  async orgEncryptionKey(): Promise<SealingKey | undefined> {
    const path = this.#path("org-encryption.key");
    return (await readPrivateFile(path)) === undefined ? undefined : openSealingKey(path);
  }

  openOperatorKey(): Promise<SigningKey> {
    return openSigningKey(this.#path("operator.key"));
  }

  async apiKey(): Promise<Secret | undefined> {
    const stored = await readPrivateFile(this.#path("api.key"));
    return stored === undefined ? undefined : new Secret(stored.toString().trim());
  }

  get apiKeyPath(): string {
    return this.#path("api.key");
  }

  saveApiKey(key: Secret): Promise<void> {
    return writeFileAtomic(this.#path("api.key"), `${key.reveal()}\n`);
  }

  async server(): Promise<OperatorServer | undefined> {
    const stored = await readPrivateFile(this.#path("server.json"));
    if (stored === undefined) return undefined;
    try {
      const { url, org_id, org, owner, server_identity_key, key_set, ...keys } = JSON.parse(stored.toString());
      const identityKey = readKey(server_identity_key);
      const [orgKey, orgEncryptionKey] = [readKey(keys.org_key), readKey(keys.org_encryption_key)];
      const keySet = checkKeySet(key_set, identityKey);
      return { url, orgId: org_id, org, owner, identityKey, orgKey, orgEncryptionKey, keySet };
    } catch (cause) {
      throw new Problem("state.corrupt", { detail: `${this.#path("server.json")} cannot be read.`, cause });
    }
  }

  async saveServer({ url, orgId, org, owner, keySet, ...keys }: OperatorServer): Promise<void> {
    const document = {
      url,
      org_id: orgId,
      org,
      owner,
      server_identity_key: base64url(keys.identityKey),
      org_key: base64url(keys.orgKey),
      org_encryption_key: base64url(keys.orgEncryptionKey),
      key_set: keySet,
    };
    await writeFileAtomic(this.#path("server.json"), `${JSON.stringify(document)}\n`);
  }

  /** The newest roster that was proven here. */
  async roster(): Promise<SignedRoster | undefined> {
    const stored = await readPrivateFile(this.#path("roster.json"));
    return stored === undefined ? undefined : readRosterDocument(JSON.parse(stored.toString()));
  }

  saveRoster(roster: SignedRoster): Promise<void> {
    return writeFileAtomic(this.#path("roster.json"), `${JSON.stringify(describeRoster(roster))}\n`);
  }

  /** Ids of the nodes that were confirmed here, by name. */
  async nodeNames(): Promise<ReadonlyMap<string, string>> {
    const stored = await readPrivateFile(this.#path("node-names.json"));
    return new Map(stored === undefined ? [] : Object.entries(JSON.parse(stored.toString()) as Record<string, string>));
  }

  async rememberNode(name: string, id: string): Promise<void> {
    const names = new Map(await this.nodeNames()).set(name, id);
    await writeFileAtomic(this.#path("node-names.json"), `${JSON.stringify(Object.fromEntries(names))}\n`);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}

function readKey(text: unknown): Uint8Array {
  const key = typeof text === "string" ? fromBase64url(text) : undefined;
  if (key?.length !== KEY_BYTES) throw new TypeError("not a key");
  return key;
}
