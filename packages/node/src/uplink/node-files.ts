import { join } from "node:path";
import { base64url, fromBase64url, Problem, Secret } from "@gatehouse/core";
import {
  checkKeySet,
  type KeySetDocument,
  type KnownServer,
  openFileLockInTurn,
  type RosterDocument,
  readPrivateFile,
  removeFile,
  sha256,
  writeFileAtomic,
} from "@gatehouse/kit";
import * as z from "zod";

const bytesSchema = z.string().transform((text, context) => {
  const bytes = fromBase64url(text);
  if (bytes === undefined) context.addIssue("not base64url");
  return bytes ?? new Uint8Array();
});

const serverShape = {
  server_url: z.string(),
  name: z.string(),
  node_id: z.string(),
  org_id: z.string(),
  org_key: bytesSchema,
  server_identity_key: bytesSchema,
  key_set: z.custom<KeySetDocument>((value) => typeof value === "object" && value !== null),
  /** SHA-256 of the enrollment tuple. */
  tuple_sha256: bytesSchema,
};
const pendingSchema = z.object({ ...serverShape, enrollment_id: z.string(), confirm_expires_at: z.number() });
const enrolledSchema = z.object({
  ...serverShape,
  roster: z.custom<RosterDocument>((value) => typeof value === "object" && value !== null),
  ca_chain: z.array(z.string()),
});

const expirySchema = z.object({ expires_at: z.number() });
const refusalSchema = z.object({ node_id: z.string(), at: z.number() });

/** A host that claimed a code and waits for a person. */
export type PendingEnrollment = z.infer<typeof pendingSchema>;
/** A host that a server knows as its node. */
export type EnrolledNode = z.infer<typeof enrolledSchema>;

/** The server of a host, as connections to it are opened; `saveKeySet` remembers a key set of a higher epoch. */
export function knownServer(
  remembered: EnrolledNode | PendingEnrollment,
  saveKeySet: KnownServer["saveKeySet"],
): KnownServer {
  return {
    origin: remembered.server_url,
    identityKey: remembered.server_identity_key,
    orgId: remembered.org_id,
    orgKey: remembered.org_key,
    keySet: remembered.key_set,
    saveKeySet,
  };
}

/** What a node learned of its server since it read what it remembers. */
export interface Learned {
  readonly keySet?: KeySetDocument;
  readonly roster?: RosterDocument;
}

/**
 * What a host remembers of its server, each in a file of its own that only this user reads. The daemon and commands that
 * a person runs beside it write them in turn, and nobody puts an older key set or roster in a newer one's place.
 */
export class NodeFiles {
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** The enrollment that is under way; `undefined`: none. Fails with `state.corrupt`. */
  pending(): Promise<PendingEnrollment | undefined> {
    return this.#read("enrollment.json", pendingSchema);
  }

  savePending(pending: PendingEnrollment): Promise<void> {
    return this.#inTurn(() => this.#write("enrollment.json", pending));
  }

  /** Remembers a newer key set of the enrollment that is under way; one that is over learns nothing. */
  learnPending({ enrollment_id }: PendingEnrollment, keySet: KeySetDocument): Promise<void> {
    return this.#inTurn(async () => {
      const pending = await this.pending();
      if (pending?.enrollment_id !== enrollment_id || pending.key_set.epoch >= keySet.epoch) return;
      await this.#write("enrollment.json", { ...pending, key_set: keySet });
    });
  }

  forgetPending(): Promise<void> {
    return removeFile(this.#path("enrollment.json"));
  }

  /** The node that this host is; `undefined`: it belongs to no server. Fails with `state.corrupt`. */
  enrolled(): Promise<EnrolledNode | undefined> {
    return this.#read("node.json", enrolledSchema);
  }

  /** The same. Fails with `enroll.not_enrolled` too. */
  async require(): Promise<EnrolledNode> {
    const node = await this.enrolled();
    if (node === undefined) throw new Problem("enroll.not_enrolled");
    return node;
  }

  /** Makes this host a node. What it knows that is newer, of the same node, it keeps. */
  saveEnrolled(node: EnrolledNode): Promise<void> {
    return this.#inTurn(async () => {
      const before = await this.enrolled();
      const isSame = before?.node_id === node.node_id;
      await this.#write(
        "node.json",
        isSame ? withNewer(node, { keySet: before.key_set, roster: before.roster }) : node,
      );
    });
  }

  /** Remembers what is newer than what is known. A host that is that node no more learns nothing. */
  learn({ node_id }: Pick<EnrolledNode, "node_id">, learned: Learned): Promise<void> {
    return this.#inTurn(async () => {
      const node = await this.enrolled();
      if (node?.node_id !== node_id) return;
      const next = withNewer(node, learned);
      if (next !== node) await this.#write("node.json", next);
    });
  }

  /** Since when, in Unix milliseconds, the server does not know this node any more; `undefined`: it does. */
  async refusedSince(): Promise<number | undefined> {
    const stored = await readPrivateFile(this.#path("refused.json"));
    if (stored === undefined) return undefined;
    const refusal = refusalSchema.parse(JSON.parse(stored.toString()));
    return refusal.node_id === (await this.enrolled())?.node_id ? refusal.at : undefined;
  }

  /** Remembers that the server refused this node; the first time counts. */
  noteRefusal({ node_id }: EnrolledNode, at: number): Promise<void> {
    return this.#inTurn(async () => {
      if ((await this.refusedSince()) === undefined) await this.#write("refused.json", { node_id, at });
    });
  }

  forgetRefusal(): Promise<void> {
    return removeFile(this.#path("refused.json"));
  }

  /** What this host would say to a server that asks who it is, as a hash: it changes with node and API key. */
  async introduction(): Promise<string> {
    const [node, key] = [await this.enrolled(), await this.apiKey()];
    return base64url(sha256(node?.node_id ?? "", " ", key?.reveal() ?? ""));
  }

  async apiKey(): Promise<Secret | undefined> {
    const stored = await readPrivateFile(this.#path("api.key"));
    return stored === undefined ? undefined : new Secret(stored.toString().trim());
  }

  saveApiKey(key: Secret): Promise<void> {
    return writeFileAtomic(this.#path("api.key"), `${key.reveal()}\n`);
  }

  /**
   * Puts a fresh API key in the place of the one that was there when it was asked for. One that another process put there
   * meanwhile stays: its first use ended those before it, this one perhaps among them.
   */
  replaceApiKey(before: Secret | undefined, key: Secret): Promise<void> {
    return this.#inTurn(async () => {
      const isThere = before !== undefined && (await this.apiKey())?.reveal() === before.reveal();
      if (isThere) await this.saveApiKey(key);
    });
  }

  /** When the API key ends, in Unix milliseconds, as the server said last; `undefined`: it did not say yet. */
  async keyExpiry(): Promise<number | undefined> {
    const stored = await readPrivateFile(this.#path("api-key.json"));
    return stored === undefined ? undefined : expirySchema.parse(JSON.parse(stored.toString())).expires_at;
  }

  /** 0: the server does not say. */
  async noteKeyExpiry(expiresAt: number): Promise<void> {
    if (expiresAt === 0 || expiresAt === (await this.keyExpiry())) return;
    await this.#inTurn(() => this.#write("api-key.json", { expires_at: expiresAt }));
  }

  /** Whether forgetting the server was broken off: all is gone but the key, which opens nothing any more. */
  async isForgetting(): Promise<boolean> {
    const server = (await this.enrolled()) ?? (await this.pending());
    return server === undefined && (await this.apiKey()) !== undefined;
  }

  /** Forgets the server; keys, credentials and records stay. A host that is a node has its key to the last. */
  forgetServer(): Promise<void> {
    return this.#inTurn(async () => {
      for (const name of ["enrollment.json", "refused.json", "node.json", "api-key.json", "api.key"])
        await removeFile(this.#path(name));
    });
  }

  async #inTurn(work: () => Promise<void>): Promise<void> {
    using _ = await openFileLockInTurn(this.#path("node.lock"));
    await work();
  }

  async #read<T extends EnrolledNode | PendingEnrollment>(name: string, schema: z.ZodType<T>): Promise<T | undefined> {
    const stored = await readPrivateFile(this.#path(name));
    if (stored === undefined) return undefined;
    try {
      const parsed = schema.parse(JSON.parse(stored.toString()));
      checkKeySet(parsed.key_set, parsed.server_identity_key);
      return parsed;
    } catch (cause) {
      throw new Problem("state.corrupt", { detail: `${this.#path(name)} cannot be read.`, cause });
    }
  }

  async #write(name: string, value: object): Promise<void> {
    const text = JSON.stringify(value, (_, one: unknown) => (one instanceof Uint8Array ? base64url(one) : one));
    await writeFileAtomic(this.#path(name), `${text}\n`);
  }

  #path(name: string): string {
    return join(this.#stateDir, name);
  }
}

/** The same node where nothing is newer. */
function withNewer(node: EnrolledNode, { keySet, roster }: Learned): EnrolledNode {
  const newKeySet = keySet !== undefined && keySet.epoch > node.key_set.epoch ? keySet : undefined;
  const newRoster = roster !== undefined && roster.version > node.roster.version ? roster : undefined;
  if (newKeySet === undefined && newRoster === undefined) return node;
  return { ...node, key_set: newKeySet ?? node.key_set, roster: newRoster ?? node.roster };
}
