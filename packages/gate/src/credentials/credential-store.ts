import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { type Clock, Problem, parseResourceName, type ResourceName, type Secret, toProblem } from "@gatehouse/core";
import { readPrivateFile, removeFile, writeFileAtomic } from "@gatehouse/kit";
import type { FlattenedJWE } from "jose";
import * as z from "zod";
import { Turns } from "../registry/turns.ts";
import { type Binding, bindingBytes, bindingSchema, checkBinding } from "./binding.ts";
import { makeCredentialId } from "./credential-id.ts";
import { parseCredentialValue } from "./credential-value.ts";
import type { NodeKey } from "./node-key.ts";
import { open, seal } from "./seal.ts";

const sealedSchema = z.custom<FlattenedJWE>(
  (value) => typeof value === "object" && value !== null && "ciphertext" in value,
);
const fileSchema = z.strictObject({
  gatehouse_credential: z.literal(1),
  id: z.string().regex(/^[0-9a-f-]{36}$/),
  name: z.string(),
  version: z.number().int().positive(),
  service: z.string().optional(),
  created_at: z.number().int(),
  bindings: z.array(bindingSchema).min(1),
  sealed: sealedSchema,
  /** Values that this one replaced, newest first: attached no more, still scrubbed. */
  replaced: z.array(z.strictObject({ version: z.number().int().positive(), sealed: sealedSchema })).optional(),
});

type StoredCredential = Readonly<z.infer<typeof fileSchema>>;

/** A credential and the grant of the same name, without its value. */
export interface CredentialInfo {
  readonly id: string;
  readonly name: ResourceName;
  /** Counts the values that it had. */
  readonly version: number;
  readonly service: string | undefined;
  /** Unix milliseconds. */
  readonly createdAt: number;
  readonly bindings: readonly Binding[];
  /** Who put it here: a person on this node, or an operator of the organisation. */
  readonly origin: "node" | "organisation";
}

/** What `add` stores. */
export interface NewCredential {
  readonly name: ResourceName;
  readonly service: string | undefined;
  readonly bindings: readonly Binding[];
  readonly value: string;
}

/** Called with what is about to be stored; stores it by `store`, or fails. */
export type AroundStoring = (info: CredentialInfo, store: () => Promise<void>) => Promise<void>;

/** A file that takes no part. `name` is what it claims; nothing vouches for it. */
export interface UnreadableFile {
  readonly file: string;
  readonly name: string | undefined;
  readonly reason: string;
}

const MAX_REPLACED = 8;

/** Sealed credentials, one file each in `credentials/`. What is listed can be opened; what cannot is named. */
export class CredentialStore {
  readonly #folder: string;
  readonly #key: NodeKey;
  readonly #clock: Clock;
  readonly #byName = new Map<string, StoredCredential>();
  readonly #turns = new Turns();
  #unreadable: readonly UnreadableFile[] = [];

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

  /** Files that were not taken, and why. */
  get faults(): readonly UnreadableFile[] {
    return this.#unreadable;
  }

  /** The names of those files. */
  get unreadable(): readonly string[] {
    return this.#unreadable.map(({ file }) => file);
  }

  list(): readonly CredentialInfo[] {
    return [...this.#byName.values()].map(asInfo);
  }

  get(name: string): CredentialInfo | undefined {
    const stored = this.#byName.get(name);
    return stored === undefined ? undefined : asInfo(stored);
  }

  /** `get` that fails with `grants.not_found`, or `credentials.unreadable` where a file that claims it is damaged. */
  require(name: string): CredentialInfo {
    return asInfo(this.#require(name));
  }

  /** Whether there is something of this name to remove, readable or not. */
  has(name: string): boolean {
    return this.#byName.has(name) || this.#unreadable.some((one) => one.name === name);
  }

  /**
   * Seals and stores a value. Fails with `grants.exists`, `grants.invalid`, `credentials.invalid_value`. `around` gets
   * what is about to be stored, and is to call `store`.
   */
  add(request: NewCredential, around: AroundStoring = (_, store) => store()): Promise<CredentialInfo> {
    return this.#turns.take(request.name, () => this.#add(request, around));
  }

  /**
   * As `add`, and where the name is taken by a credential for the same places gives that one the new value, in one
   * step on disk. Fails with `grants.exists` when the places differ, with `credentials.unreadable`.
   */
  replace(request: NewCredential, around: AroundStoring = (_, store) => store()): Promise<CredentialInfo> {
    const { name } = request;
    return this.#turns.take(name, () => (this.has(name) ? this.#replace(request, around) : this.#add(request, around)));
  }

  /** The plaintext. Fails as `require` does. */
  async reveal(name: string): Promise<Secret> {
    const stored = this.#require(name);
    return open(this.#key, stored.sealed, bindingBytes(stored, stored.bindings));
  }

  /** The plaintexts that were replaced, newest first, at most eight. Fails as `require` does. */
  async revealReplaced(name: string): Promise<readonly Secret[]> {
    const { id, bindings, replaced = [], ...stored } = this.#require(name);
    return Promise.all(
      replaced.map(({ version, sealed }) =>
        open(this.#key, sealed, bindingBytes({ id, name: stored.name, version }, bindings)),
      ),
    );
  }

  /**
   * Deletes the credential and its grant, and damaged files that claim its name. `withdraw` is called in between: when
   * nobody can take it any more, and before it is gone from the disk, so that a crash leaves no run that names what is
   * not there. Fails with `grants.not_found`, as `withdraw` does, or with `state.write_failed`: then it serves no more
   * and can be removed again.
   */
  remove(name: string, withdraw: () => Promise<void> = async () => undefined): Promise<void> {
    return this.#turns.take(name, () => this.#remove(name, withdraw));
  }

  async #add({ name, service, bindings, value: text }: NewCredential, around: AroundStoring): Promise<CredentialInfo> {
    if (this.has(name))
      throw new Problem("grants.exists", {
        detail: `Give ${name} a new value with --replace, or choose another name.`,
      });
    for (const binding of bindings) checkBinding(binding);
    const value = parseCredentialValue(text);
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
    return this.#store(stored, around);
  }

  async #replace(
    { name, service, bindings, value: text }: NewCredential,
    around: AroundStoring,
  ): Promise<CredentialInfo> {
    const before = this.#require(name);
    // Live runs were given these places: another value may take its place there, another place may not.
    if (before.service !== service || !isDeepStrictEqual(before.bindings, bindings)) {
      throw new Problem("grants.exists", { detail: `${name} is for other hosts or headers: revoke it first.` });
    }
    const value = parseCredentialValue(text);
    const version = before.version + 1;
    const { sealed: old, replaced = [] } = before;
    const sealed = await seal(this.#key, value, bindingBytes({ ...before, version }, bindings));
    const stored = {
      ...before,
      version,
      created_at: this.#clock.now(),
      sealed,
      replaced: [{ version: before.version, sealed: old }, ...replaced].slice(0, MAX_REPLACED),
    };
    return this.#store(stored, around);
  }

  async #store(stored: StoredCredential, around: AroundStoring): Promise<CredentialInfo> {
    const info = asInfo(stored);
    await around(info, () => writeFileAtomic(join(this.#folder, `${stored.id}.jwe`), JSON.stringify(stored)));
    this.#byName.set(stored.name, stored);
    return info;
  }

  async #remove(name: string, withdraw: () => Promise<void>): Promise<void> {
    if (!this.has(name)) throw new Problem("grants.not_found", { detail: `${name} is unknown.` });
    const stored = this.#byName.get(name);
    // Out of memory first: should the file not go, the grant must not serve on.
    this.#byName.delete(name);
    if (stored !== undefined) this.#refuse({ file: `${stored.id}.jwe`, name, reason: "It was revoked." });
    try {
      await withdraw();
    } finally {
      for (const one of this.#unreadable.filter((unreadable) => unreadable.name === name)) {
        await removeFile(join(this.#folder, one.file));
        this.#unreadable = this.#unreadable.filter((other) => other !== one);
      }
    }
  }

  #require(name: string): StoredCredential {
    const stored = this.#byName.get(name);
    if (stored !== undefined) return stored;
    const fault = this.#unreadable.find((one) => one.name === name);
    if (fault !== undefined) throw new Problem("credentials.unreadable", { detail: `${name}: ${fault.reason}` });
    // It may be in a file that says nothing, one that others may read say: then that is what to put right.
    const silent = this.#unreadable.find((one) => one.name === undefined);
    const hint = silent === undefined ? "" : ` ${silent.file} could not be read: ${silent.reason}`;
    throw new Problem("grants.not_found", { detail: `${name} is unknown.${hint}` });
  }

  #refuse(file: UnreadableFile): void {
    this.#unreadable = [...this.#unreadable, file];
  }

  async #load(file: string): Promise<void> {
    let name: string | undefined;
    try {
      const bytes = await readPrivateFile(join(this.#folder, file));
      const stored = parseFile(bytes ?? Buffer.alloc(0));
      ({ name } = stored);
      for (const binding of stored.bindings) checkBinding(binding);
      if (file !== `${stored.id}.jwe`) throw new Problem("state.corrupt", { detail: "It has another file's name." });
      if (this.#byName.has(name)) throw new Problem("grants.exists", { detail: `Another file holds ${name}.` });
      for (const one of [stored, ...(stored.replaced ?? [])]) {
        await open(this.#key, one.sealed, bindingBytes({ ...stored, version: one.version }, stored.bindings));
      }
      this.#byName.set(name, stored);
    } catch (failure) {
      this.#refuse({ file, name, reason: toProblem(failure).message });
    }
  }
}

/** What is stored, save that it can be opened. Fails with `state.corrupt`. */
function parseFile(bytes: Buffer): StoredCredential {
  try {
    const stored = fileSchema.parse(JSON.parse(bytes.toString()));
    parseResourceName(stored.name);
    return stored;
  } catch (cause) {
    throw new Problem("state.corrupt", { cause });
  }
}

function asInfo({ id, name, version, service, created_at, bindings }: StoredCredential): CredentialInfo {
  return { id, name: parseResourceName(name), version, service, createdAt: created_at, bindings, origin: "node" };
}
