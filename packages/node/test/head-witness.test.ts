import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "@bufbuild/protobuf";
import {
  auditKeyId,
  consistencyRanges,
  hashLeaf,
  headBytes,
  MerkleFrontier,
  Problem,
  ProofBuilder,
  type SignedHead,
  systemClock,
  witnessBytes,
} from "@gatehouse/core";
import {
  AuditLog,
  createLog,
  type KeySetDocument,
  openSigningKey,
  SegmentFolder,
  type SigningKey,
  sha256,
  verifySignature,
} from "@gatehouse/kit";
import { CountersignedHeadSchema, createMessageCheck, HeartbeatAnswerSchema } from "@gatehouse/wire";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HeadWitness, type WitnessEvent, type WitnessSession } from "../src/uplink/head-witness.ts";
import type { EnrolledNode } from "../src/uplink/node-files.ts";

const NODE = "0190a1b2-0000-7000-8000-000000000001";
const ORG = "0190a1b2-0000-7000-8000-00000000000a";
const log = createLog({ level: "error", format: "json", write: () => undefined });

let directory: string;
let server: SigningKey;
let identity: SigningKey;
let events: WitnessEvent[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-witness-"));
  server = await openSigningKey(join(directory, "server.key"));
  identity = await openSigningKey(join(directory, "identity.key"));
  events = [];
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** The organisation's log as its server signs it. */
class OrgLog {
  readonly #entries: string[];

  constructor(entries: readonly string[]) {
    this.#entries = [...entries];
  }

  head(size: number, signer = server): SignedHead {
    const tree = new MerkleFrontier(sha256);
    for (const entry of this.#entries.slice(0, size)) tree.append(hashLeaf(sha256, entry));
    const head = { size, root: tree.root(), time: 1_000 + size };
    return { ...head, keyId: auditKeyId(sha256, signer.publicKey), signature: signer.sign(headBytes(ORG, head)) };
  }

  /** What the server answers to a node that named the head of `before` entries. */
  answer(before: number, size: number, head = this.head(size)) {
    const builder = new ProofBuilder(sha256, consistencyRanges(before, size));
    for (const [at, entry] of this.#entries.slice(0, size).entries()) builder.add(at, hashLeaf(sha256, entry));
    const orgConsistency = before === 0 || before > size ? [] : [...(builder.proof() ?? [])];
    return create(HeartbeatAnswerSchema, { orgAuditHead: toWire(head), orgConsistency, orgHeadBefore: BigInt(before) });
  }
}

const LETTERS = [..."abcdefghijk"];
const honest = new OrgLog(LETTERS);
const other = new OrgLog(["a", "b", "X", ...LETTERS.slice(3)]);

function toWire({ size, time, root, keyId, signature }: SignedHead) {
  return { root, keyId, signature, size: BigInt(size), time: BigInt(time) };
}

function session(epoch = 1): WitnessSession {
  const keys = [{ use: "audit", id: "k", key: Buffer.from(server.publicKey).toString("base64url") }];
  const key_set = { epoch, issued_at: 1, keys, signature: "" } as unknown as KeySetDocument;
  return { identity, node: { node_id: NODE, org_id: ORG, key_set } as unknown as EnrolledNode };
}

async function openWitness(): Promise<HeadWitness> {
  const putOnRecord = async (event: WitnessEvent) => void events.push(event);
  const witness = new HeadWitness({ stateDir: directory, auditFolder: join(directory, "audit"), log, putOnRecord });
  await witness.begin(session());
  return witness;
}

function sizeOf(witness: HeadWitness): number {
  return Number(witness.countersigned?.head?.size ?? 0n);
}

test("a head that continues the one before is countersigned, and remembered by the next daemon", async () => {
  const witness = await openWitness();
  expect(witness.countersigned).toBeUndefined();
  await witness.hear(honest.answer(0, 3), session());
  await witness.hear(honest.answer(3, 7), session());
  const next = await openWitness();
  expect(sizeOf(next)).toBe(7);
  const said = create(CountersignedHeadSchema, next.countersigned);
  createMessageCheck()(CountersignedHeadSchema, said);
  const bytes = witnessBytes(NODE, ORG, honest.head(7));
  expect(verifySignature(identity.publicKey, bytes, said.countersignature)).toBe(true);
  expect(events).toEqual([]);
});

test.each([
  { what: "another tree", answer: () => other.answer(5, 8), kind: "org_log.forked" },
  { what: "another tree of the same size", answer: () => other.answer(5, 5), kind: "org_log.forked" },
  { what: "no proof", answer: () => ({ ...honest.answer(5, 8), orgConsistency: [] }), kind: "org_log.forked" },
  { what: "fewer entries", answer: () => honest.answer(5, 4), kind: "org_log.rewound" },
])("$what is put on record once, and nothing after it is countersigned", async ({ answer, kind }) => {
  const witness = await openWitness();
  await witness.hear(honest.answer(0, 5), session());
  await witness.hear(answer(), session());
  await witness.hear(answer(), session());
  await witness.hear(honest.answer(5, 9), session());
  expect(events.map((event) => event.kind)).toEqual([kind]);
  expect(sizeOf(witness)).toBe(5);
  expect(witness.isContradicted).toBe(true);
  const next = await openWitness();
  expect(next.isContradicted).toBe(true);
  expect(sizeOf(next)).toBe(5);
});

test("what cannot be put on record is judged again, and the node goes on", async () => {
  let isWritable = false;
  const putOnRecord = async (event: WitnessEvent) => {
    if (!isWritable) throw new Problem("audit.unwritable");
    events.push(event);
  };
  const witness = new HeadWitness({ stateDir: directory, auditFolder: join(directory, "audit"), log, putOnRecord });
  await witness.begin(session());
  await witness.hear(honest.answer(0, 5), session());
  await witness.hear(other.answer(5, 8), session());
  expect(witness.isContradicted).toBe(false);
  expect(sizeOf(witness)).toBe(5);
  isWritable = true;
  await witness.hear(other.answer(5, 8), session());
  expect(events.map(({ kind }) => kind)).toEqual(["org_log.forked"]);
  expect(witness.isContradicted).toBe(true);
});

test("an epoch that the server's operators opened is followed, on record", async () => {
  const witness = await openWitness();
  await witness.hear(honest.answer(0, 5), session());
  await witness.hear(other.answer(5, 4), session());
  await witness.hear(other.answer(5, 4), session(2));
  expect(events.map(({ kind }) => kind)).toEqual(["org_log.rewound", "org_log.restarted"]);
  expect(sizeOf(witness)).toBe(4);
  expect(witness.isContradicted).toBe(false);
  await witness.hear(other.answer(4, 9), session(2));
  expect(sizeOf(witness)).toBe(9);
});

test("a head that another key signed, and an answer to an earlier heartbeat, change nothing", async () => {
  const witness = await openWitness();
  await witness.hear(honest.answer(0, 5), session());
  await witness.hear(honest.answer(5, 8, honest.head(8, identity)), session());
  await witness.hear(honest.answer(3, 6), session());
  expect(sizeOf(witness)).toBe(5);
  expect(events).toEqual([]);
});

test("a node whose own log ends before what its server has of it says so, once", async () => {
  const folder = join(directory, "audit");
  await mkdir(folder);
  const own = { key: identity, clock: systemClock, newLogId: () => NODE, onChange: () => undefined };
  await using audit = await AuditLog.open({ store: await SegmentFolder.open(folder), ...own });
  await audit.append({ time: 1, run: null, agent: null, actor: "node", kind: "gate.started", data: {} });
  await audit.signHead();
  const witness = await openWitness();
  const longer = { size: 9, root: new Uint8Array(32), time: 5 };
  const signature = identity.sign(headBytes(NODE, longer));
  const keyId = auditKeyId(sha256, identity.publicKey);
  const seen = { auditHeadSeen: toWire({ ...longer, keyId, signature }), auditLogSeen: NODE };
  await witness.hear(create(HeartbeatAnswerSchema, seen), session());
  await witness.hear(create(HeartbeatAnswerSchema, seen), session());
  expect(events).toEqual([{ kind: "own_log.rewound", actor: "server", data: { seen: 9, size: 1, epoch: 1 } }]);
  const forged = { ...seen, auditHeadSeen: { ...seen.auditHeadSeen, size: 10n } };
  await witness.hear(create(HeartbeatAnswerSchema, forged), session());
  expect(events).toHaveLength(1);
});
