import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, Problem, parseResourceName, type ResourceName, Secret } from "@gatehouse/core";
import { readPrivateFile, removeFile, writeFileAtomic } from "@gatehouse/kit";
import type { FlattenedJWE } from "jose";
import { z } from "zod";
import { type Binding, bindingBytes, bindingSchema, checkBinding } from "./binding.ts";
import { makeCredentialId } from "./credential-id.ts";
import type { NodeKey } from "./node-key.ts";
import { open, seal } from "./seal.ts";

const fileSchema = z.strictObject({
  gatehouse_credential: z.literal(1),
  id: z.string().regex(/^[0-9a-f-]{36}$/),
  name: z.string(),
  version: z.number().int().positive(),
  service: z.string().optional(),
  created_at: z.number().int(),
  bindings: z.array(bindingSchema).min(1),
  sealed: z.custom<FlattenedJWE>((value) => typeof value === "object" && value !== null && "ciphertext" in value),
});

type StoredCredential = Readonly<z.infer<typeof fileSchema>>;

/** A credential and the grant of the same name, without its value. */
export interface CredentialInfo {
  readonly id: string;
  readonly name: ResourceName;
  readonly service: string | undefined;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly bindings: readonly Binding[];
}

const MAX_VALUE_BYTES = 65_536;

/** Sealed credentials, one file each in `credentials/`. What is listed can be opened; what cannot is named. */
export class CredentialStore {
  readonly #folder: string;
  readonly #key: NodeKey;
  readonly #clock: Clock;
  readonly #byName = new Map<string, StoredCredential>();
  readonly #unreadable: string[] = [];

  private constructor(folder: string, key: NodeKey, clock: Clock) {
    this.#folder = folder;
    this.#key = key;
    this.#clock = clock;
  }

  /** Reads the folder. A file that is damaged is reported and takes no part; nothing is deleted. */
  static async open(folder: string, key: NodeKey, clock: Clock): Promise<CredentialStore> {
    const store = new CredentialStore(folder, key, clock);
    for (const entry of (await readdir(folder)).filter((name) => name.endsWith(".jwe")).sort())
      await store.#load(entry);
    return store;
  }

  /** Files that were not taken, by name. */
  get unreadable(): readonly string[] {
    return this.#unreadable;
  }

  list(): readonly CredentialInfo[] {
    return [...this.#byName.values()].map(asInfo);
  }

  get(name: string): CredentialInfo | undefined {
    const stored = this.#byName.get(name);
    return stored === undefined ? undefined : asInfo(stored);
  }

  /** Seals and stores a value. Fails with `grants.exists`, `grants.invalid`, `credentials.invalid_value`. */
  async add(request: {
    readonly name: ResourceName;
    readonly service: string | undefined;
    readonly bindings: readonly Binding[];
    readonly value: string;
  }): Promise<CredentialInfo> {
    const { name, service, bindings } = request;
    if (this.#byName.has(name))
      throw new Problem("grants.exists", { detail: `Revoke ${name} first, or choose a name.` });
    for (const binding of bindings) checkBinding(binding);
    const value = checkValue(request.value);
    const id = makeCredentialId(this.#clock.now());
    const sealed = await seal(this.#key, value, bindingBytes({ id, name, version: 1 }, bindings));
    const stored: StoredCredential = {
      gatehouse_credential: 1,
      id,
      name,
      version: 1,
      ...(service === undefined ? {} : { service }),
      created_at: this.#clock.now(),
      bindings: [...bindings],
      sealed,
    };
    await writeFileAtomic(join(this.#folder, `${id}.jwe`), JSON.stringify(stored));
    this.#byName.set(name, stored);
    return asInfo(stored);
  }

  /** The plaintext. Fails with `grants.not_found` or `credentials.unreadable`. */
  async reveal(name: string): Promise<Secret> {
    const stored = this.#byName.get(name);
    if (stored === undefined) throw new Problem("grants.not_found", { detail: `There is no grant ${name}.` });
    return open(this.#key, stored.sealed, bindingBytes(stored, stored.bindings));
  }

  /** Deletes the credential and its grant. Fails with `grants.not_found`. */
  async remove(name: string): Promise<void> {
    const stored = this.#byName.get(name);
    if (stored === undefined) throw new Problem("grants.not_found", { detail: `There is no grant ${name}.` });
    // Out of memory first: should the file not go, the grant must not serve on.
    this.#byName.delete(name);
    await removeFile(join(this.#folder, `${stored.id}.jwe`));
  }

  async #load(entry: string): Promise<void> {
    try {
      const bytes = await readPrivateFile(join(this.#folder, entry));
      const stored = fileSchema.parse(JSON.parse((bytes ?? Buffer.alloc(0)).toString()));
      parseResourceName(stored.name);
      for (const binding of stored.bindings) checkBinding(binding);
      if (entry !== `${stored.id}.jwe` || this.#byName.has(stored.name)) throw new Problem("state.corrupt");
      await open(this.#key, stored.sealed, bindingBytes(stored, stored.bindings));
      this.#byName.set(stored.name, stored);
    } catch {
      this.#unreadable.push(entry);
    }
  }
}

function asInfo({ id, name, service, created_at, bindings }: StoredCredential): CredentialInfo {
  return { id, name: parseResourceName(name), service, createdAt: created_at, bindings };
}

/** A value as files and prompts give it: one trailing line end goes; what could break a header is refused. */
function checkValue(text: string): Secret {
  const value = text.replace(/\r?\n$/, "");
  if (value === "") throw new Problem("credentials.invalid_value", { detail: "It is empty." });
  if (Buffer.byteLength(value) > MAX_VALUE_BYTES)
    throw new Problem("credentials.invalid_value", { detail: "It is too long." });
  if (!/^[\x20-\x7e]+$/.test(value)) {
    throw new Problem("credentials.invalid_value", { detail: "It holds line ends, control or non-ASCII characters." });
  }
  return new Secret(value);
}
