import { join } from "node:path";
import {
  auditKeyId,
  canonicalJson,
  constantTimeEqual,
  fromBase64url,
  headAsJson,
  headBytes,
  type JsonValue,
  Problem,
  readHead,
  type SignedHead,
} from "@gatehouse/core";
import { readPrivateFile, sha256, verifySignature, writeFileAtomic } from "@gatehouse/kit";
import * as z from "zod";

/** A head of a log that was seen, with the key that signs the log's heads. */
export interface SeenHead {
  /** The id that the head names. */
  readonly log: string;
  /** Ed25519, 32 bytes. */
  readonly key: Uint8Array;
  readonly head: SignedHead;
}

/** A head that does not go on from the one that was seen before it. */
export interface Contradiction {
  readonly fault: "rewound" | "forked";
  readonly head: SignedHead;
}

/** What a host remembers of logs, so that nobody can take back what it has seen of them. */
export interface SeenHeads {
  /** The organisation's, and the epoch of the server's keys under which it was seen. */
  readonly org: (SeenHead & { readonly epoch: number; readonly contradicted: Contradiction | undefined }) | undefined;
  /** This node's own, as its server has it. */
  readonly own: SeenHead | undefined;
}

const NAME = "seen-heads.json";
const keySchema = z.string().transform((text, context) => {
  const key = fromBase64url(text);
  if (key?.length !== 32) context.addIssue("no key");
  return key ?? new Uint8Array();
});
const headSchema = z.custom<JsonValue>().transform((value) => readHead(canonicalJson(value)));
const shape = { log: z.string(), key: keySchema, head: headSchema };
const contradictionSchema = z.strictObject({ fault: z.enum(["rewound", "forked"]), head: headSchema });
const fileSchema = z.strictObject({
  org: z.strictObject({ ...shape, epoch: z.int(), contradicted: contradictionSchema.optional() }).optional(),
  own: z.strictObject(shape).optional(),
});

/** Reads them; nothing was seen where there is no file. Fails with `state.corrupt`. */
export async function readSeenHeads(stateDir: string): Promise<SeenHeads> {
  const stored = await readPrivateFile(join(stateDir, NAME));
  if (stored === undefined) return { org: undefined, own: undefined };
  try {
    const { org, own } = fileSchema.parse(JSON.parse(stored.toString()));
    return { org: org && { ...org, contradicted: org.contradicted }, own };
  } catch (cause) {
    throw new Problem("state.corrupt", { detail: `${join(stateDir, NAME)} cannot be read.`, cause });
  }
}

/** On the disk when it returns. */
export async function writeSeenHeads(stateDir: string, { org, own }: SeenHeads): Promise<void> {
  const value = {
    ...(org && { org: { ...describe(org), epoch: org.epoch, ...describeContradiction(org.contradicted) } }),
    ...(own && { own: describe(own) }),
  };
  await writeFileAtomic(join(stateDir, NAME), `${canonicalJson(value)}\n`);
}

function describe({ log, key, head }: SeenHead) {
  return { log, key: Buffer.from(key).toString("base64url"), head: headAsJson(head) };
}

function describeContradiction(contradicted: Contradiction | undefined) {
  if (contradicted === undefined) return {};
  return { contradicted: { fault: contradicted.fault, head: headAsJson(contradicted.head) } };
}

const ROOT_BYTES = 32;

/** Whether the log's key signed the head, and it has the form of one. */
export function isSignedHead({ log, key, head }: SeenHead): boolean {
  if (head.root.length !== ROOT_BYTES) return false;
  return head.keyId === auditKeyId(sha256, key) && verifySignature(key, headBytes(log, head), head.signature);
}

export function isSameHead(one: SignedHead, other: SignedHead): boolean {
  return one.size === other.size && one.time === other.time && constantTimeEqual(one.root, other.root);
}
