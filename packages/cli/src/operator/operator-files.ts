import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { base64url, fromBase64url, Problem, Secret } from "@gatehouse/core";
import {
  checkKeySet,
  type KeySetDocument,
  openSealingKey,
  openSigningKey,
  readPrivateFile,
  readSigningKey,
  type SealingKey,
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
  readonly keySet: KeySetDocument;
}

/** The keys of an organisation, made on this machine and nowhere else. */
export interface OrgKeys {
  readonly signing: SigningKey;
  readonly encryption: SealingKey;
}

/** What an operator's machine keeps, below the state directory. Each key is a file of mode 0600. */
export class OperatorFiles {
  readonly #directory: string;

  private constructor(directory: string) {
    this.#directory = directory;
  }

  static async open(stateDir: string): Promise<OperatorFiles> {
    const directory = join(stateDir, "operator");
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new OperatorFiles(directory);
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

  openOperatorKey(): Promise<SigningKey> {
    return openSigningKey(this.#path("operator.key"));
  }

  async apiKey(): Promise<Secret | undefined> {
    const stored = await readPrivateFile(this.#path("api.key"));
    return stored === undefined ? undefined : new Secret(stored.toString().trim());
  }

  saveApiKey(key: Secret): Promise<void> {
    return writeFileAtomic(this.#path("api.key"), `${key.reveal()}\n`);
  }

  async server(): Promise<OperatorServer | undefined> {
    const stored = await readPrivateFile(this.#path("server.json"));
    if (stored === undefined) return undefined;
    try {
      const { url, org_id, org, owner, server_identity_key, key_set } = JSON.parse(stored.toString());
      const identityKey = fromBase64url(server_identity_key) ?? new Uint8Array();
      return { url, orgId: org_id, org, owner, identityKey, keySet: checkKeySet(key_set, identityKey) };
    } catch (cause) {
      throw new Problem("state.corrupt", { detail: `${this.#path("server.json")} cannot be read.`, cause });
    }
  }

  async saveServer({ url, orgId, org, owner, identityKey, keySet }: OperatorServer): Promise<void> {
    const document = { url, org_id: orgId, org, owner, server_identity_key: base64url(identityKey), key_set: keySet };
    await writeFileAtomic(this.#path("server.json"), `${JSON.stringify(document)}\n`);
  }

  #path(name: string): string {
    return join(this.#directory, name);
  }
}
