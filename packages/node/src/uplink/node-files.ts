import { join } from "node:path";
import { base64url, fromBase64url, Problem, Secret } from "@gatehouse/core";
import {
  checkKeySet,
  type KeySetDocument,
  type KnownServer,
  type RosterDocument,
  readPrivateFile,
  removeFile,
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

/** A host that claimed a code and waits for a person. */
export type PendingEnrollment = z.infer<typeof pendingSchema>;
/** A host that a server knows as its node. */
export type EnrolledNode = z.infer<typeof enrolledSchema>;

/** The server of a host, as connections to it are opened; `save` remembers a key set of a higher epoch. */
export function knownServer<T extends EnrolledNode | PendingEnrollment>(
  remembered: T,
  save: (next: T) => Promise<void>,
): KnownServer {
  return {
    origin: remembered.server_url,
    identityKey: remembered.server_identity_key,
    orgId: remembered.org_id,
    orgKey: remembered.org_key,
    keySet: remembered.key_set,
    saveKeySet: (keySet) => save({ ...remembered, key_set: keySet }),
  };
}

/** What a host remembers of its server, each in a file of its own that only this user reads. */
export class NodeFiles {
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** The enrollment that is under way; `undefined`: none. Fails with `state.corrupt`. */
  pending(): Promise<PendingEnrollment | undefined> {
    return this.#read("enrollment.json", pendingSchema);
  }

  async savePending(pending: PendingEnrollment): Promise<void> {
    await this.#write("enrollment.json", pending);
  }

  forgetPending(): Promise<void> {
    return removeFile(this.#path("enrollment.json"));
  }

  /** The node that this host is; `undefined`: it belongs to no server. Fails with `state.corrupt`. */
  enrolled(): Promise<EnrolledNode | undefined> {
    return this.#read("node.json", enrolledSchema);
  }

  async saveEnrolled(node: EnrolledNode): Promise<void> {
    await this.#write("node.json", node);
  }

  async apiKey(): Promise<Secret | undefined> {
    const stored = await readPrivateFile(this.#path("api.key"));
    return stored === undefined ? undefined : new Secret(stored.toString().trim());
  }

  saveApiKey(key: Secret): Promise<void> {
    return writeFileAtomic(this.#path("api.key"), `${key.reveal()}\n`);
  }

  /** Forgets the server; keys, credentials and records stay. */
  async forgetServer(): Promise<void> {
    for (const name of ["api.key", "node.json", "enrollment.json"]) await removeFile(this.#path(name));
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
