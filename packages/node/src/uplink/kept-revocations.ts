import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { base64url, fromBase64url, Problem } from "@gatehouse/core";
import { type KeySetDocument, readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import type { Revocation } from "@gatehouse/wire";
import * as z from "zod";

const keptSchema = z.strictObject({
  generation: z.number().int(),
  ids: z.array(z.string()),
  key_id: z.string(),
  signature: z.string(),
});
const fileSchema = z.strictObject({
  gatehouse_revocations: z.literal(1),
  epochs: z.array(
    z.strictObject({
      key_set: z.custom<KeySetDocument>((value) => typeof value === "object" && value !== null),
      revocations: z.array(keptSchema),
    }),
  ),
});

type Epochs = z.infer<typeof fileSchema>["epochs"];

/** The newest are kept. */
const MAX_EPOCHS = 16;
const MAX_OF_EPOCH = 256;

/**
 * What the server took back, as it signed it, with the key set by which that is proven: a server that is put back from a
 * backup hears of it again. One at a time may write.
 */
export class KeptRevocations {
  readonly #stateDir: string;

  constructor(stateDir: string) {
    this.#stateDir = stateDir;
  }

  /** Durable when it returns; the same again is kept once. */
  async keep({ generation, ids, keyId, signature }: Revocation, keySet: KeySetDocument): Promise<void> {
    const epochs = await this.#read();
    const of = epochs.find(({ key_set }) => key_set.epoch === keySet.epoch) ?? { key_set: keySet, revocations: [] };
    const kept = { generation: Number(generation), ids, key_id: keyId, signature: base64url(signature) };
    if (of.revocations.some((one) => one.signature === kept.signature)) return;
    const next = { ...of, revocations: [...of.revocations, kept].slice(-MAX_OF_EPOCH) };
    await this.#write([...epochs.filter((one) => one !== of), next].slice(-MAX_EPOCHS));
  }

  /** What was signed in epochs before this one, as it is told. */
  async before(epoch: number) {
    const past = (await this.#read()).filter(({ key_set }) => key_set.epoch < epoch);
    return past.map(({ key_set, revocations }) => ({
      keySet: JSON.stringify(key_set),
      revocations: revocations.map(({ generation, ids, key_id: keyId, signature }) => ({
        epoch: BigInt(key_set.epoch),
        generation: BigInt(generation),
        ids,
        keyId,
        signature: fromBase64url(signature) ?? new Uint8Array(),
      })),
    }));
  }

  async #read(): Promise<Epochs> {
    const stored = await readPrivateFile(this.#path);
    if (stored === undefined) return [];
    try {
      return fileSchema.parse(JSON.parse(stored.toString())).epochs;
    } catch (cause) {
      throw new Problem("state.corrupt", { detail: `${this.#path} cannot be read.`, cause });
    }
  }

  async #write(epochs: Epochs): Promise<void> {
    await mkdir(join(this.#stateDir, "fleet"), { recursive: true, mode: 0o700 });
    await writeFileAtomic(this.#path, `${JSON.stringify({ gatehouse_revocations: 1, epochs })}\n`);
  }

  get #path(): string {
    return join(this.#stateDir, "fleet", "revocations.json");
  }
}
