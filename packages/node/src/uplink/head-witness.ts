import type { MessageInitShape } from "@bufbuild/protobuf";
import { constantTimeEqual, rootsOfConsistency, type SignedHead, witnessBytes } from "@gatehouse/core";
import { keysFor, type Log, lastHeadOf, logIdOf, type SigningKey, sha256 } from "@gatehouse/kit";
import type { AuditHead, CountersignedHeadSchema, HeartbeatAnswer } from "@gatehouse/wire";
import type { EnrolledNode } from "./node-files.ts";
import {
  type Contradiction,
  isSameHead,
  isSignedHead,
  readSeenHeads,
  type SeenHead,
  type SeenHeads,
  writeSeenHeads,
} from "./seen-heads.ts";

export interface WitnessDeps {
  readonly stateDir: string;
  readonly auditFolder: string;
  readonly log: Log;
  /** Durable when it resolves. */
  readonly putOnRecord: (event: WitnessEvent) => Promise<void>;
}

/** What the node's audit log says of logs that do not go on from what was seen of them. */
export interface WitnessEvent {
  readonly kind: "org_log.rewound" | "org_log.forked" | "org_log.restarted" | "own_log.rewound" | "own_log.forked";
  readonly actor: "server";
  readonly data: Readonly<Record<"seen" | "size" | "epoch", number>>;
}

/** Where this node's own log stands. */
export interface OwnHead {
  readonly log: string;
  readonly head: SignedHead;
}

type Org = NonNullable<SeenHeads["org"]>;

/**
 * Remembers the newest head of the organisation's log that was proven to continue the one before, and countersigns it;
 * and the newest of this node's own log that the server has. One that does not continue is kept as evidence and put on
 * record; the node vouches for none after it until the server's operators opened a new epoch.
 */
export class HeadWitness {
  readonly #deps: WitnessDeps;
  #seen: SeenHeads = { org: undefined, own: undefined };
  #countersignature = new Uint8Array();
  #key: SigningKey | undefined;
  #logId: string | undefined;

  constructor(deps: WitnessDeps) {
    this.#deps = deps;
  }

  /** Reads what was seen before. Fails with `state.corrupt`. */
  async begin({ node, identity }: WitnessSession): Promise<void> {
    this.#key = identity;
    const { org, own } = await readSeenHeads(this.#deps.stateDir);
    // A host that left may have become a node of another organisation, whose log is another.
    this.#seen = { org: org?.log === node.org_id ? org : undefined, own };
    this.#countersign(node);
  }

  /** Whether some log is not the one that was seen. */
  get isContradicted(): boolean {
    return this.#seen.org?.contradicted !== undefined;
  }

  /** What a heartbeat says of the organisation's log; `undefined` before its first head was seen. */
  get countersigned(): MessageInitShape<typeof CountersignedHeadSchema> | undefined {
    const { org } = this.#seen;
    return org && { head: toWire(org.head), countersignature: this.#countersignature };
  }

  /** Where the node's own log stands; `undefined` while no head of it is signed, or it cannot be read. */
  async own(): Promise<OwnHead | undefined> {
    // A log that cannot be read keeps no node from being alive; copying it says what is wrong with it.
    const head = await lastHeadOf(this.#deps.auditFolder).catch(() => undefined);
    if (head === undefined) return undefined;
    this.#logId ??= await logIdOf(this.#deps.auditFolder).catch(() => undefined);
    return this.#logId === undefined ? undefined : { log: this.#logId, head };
  }

  /**
   * Takes what the server says of both logs. What cannot be put on record or kept, on a full disk say, is judged again
   * with the next answer: the node stays connected.
   */
  async hear(answer: HeartbeatAnswer, session: WitnessSession): Promise<void> {
    try {
      await this.#hear(answer, session);
    } catch (failure) {
      this.#deps.log.error("what was seen of audit logs could not be kept", { failure });
    }
  }

  async #hear(answer: HeartbeatAnswer, { node, identity }: WitnessSession): Promise<void> {
    const { orgAuditHead, auditHeadSeen, auditLogSeen } = answer;
    if (orgAuditHead !== undefined) await this.#hearOrg(fromWire(orgAuditHead), answer, node);
    if (auditHeadSeen === undefined) return;
    await this.#hearOwn({ log: auditLogSeen, key: identity.publicKey, head: fromWire(auditHeadSeen) }, node);
  }

  async #hearOrg(head: SignedHead, answer: HeartbeatAnswer, node: EnrolledNode): Promise<void> {
    const key = keysFor(node.key_set, "audit").find((one) =>
      isSignedHead({ log: node.org_id, key: one.key, head }),
    )?.key;
    if (key === undefined) {
      this.#deps.log.warn("head of the organisation's log is not signed by its server");
      return;
    }
    const { org } = this.#seen;
    // An answer to a heartbeat of before says nothing of the head that was seen since.
    if (Number(answer.orgHeadBefore) !== (org?.head.size ?? 0)) return;
    const { epoch } = node.key_set;
    const next: Org = { log: node.org_id, key, head, epoch, contradicted: undefined };
    if (org === undefined) return this.#keepOrg(next, node);
    const fault = judge(org.head, head, answer.orgConsistency);
    if (fault !== undefined && epoch > org.epoch) {
      await this.#report("org_log.restarted", { seen: org.head.size, size: head.size, epoch });
      return this.#keepOrg(next, node);
    }
    if (fault !== undefined) return this.#contradict(org, { fault, head });
    const isNews = org.contradicted === undefined && !isSameHead(org.head, head);
    if (isNews || epoch > org.epoch) await this.#keepOrg(next, node);
  }

  async #keepOrg(org: Org, node: EnrolledNode): Promise<void> {
    await this.#save({ ...this.#seen, org });
    this.#countersign(node);
  }

  async #contradict(org: Org, contradicted: Contradiction): Promise<void> {
    if (org.contradicted !== undefined) return;
    const { fault, head } = contradicted;
    await this.#report(`org_log.${fault}`, { seen: org.head.size, size: head.size, epoch: org.epoch });
    await this.#save({ ...this.#seen, org: { ...org, contradicted } });
  }

  /** The server has what this node signed: a log that ends before it was cut here. */
  async #hearOwn(seen: SeenHead, { key_set: { epoch } }: EnrolledNode): Promise<void> {
    const before = this.#seen.own;
    if (!isSignedHead(seen) || (before !== undefined && isSameHead(before.head, seen.head))) return;
    const own = await this.own();
    const fault = own && judgeOwn(seen, own);
    if (fault !== undefined)
      await this.#report(`own_log.${fault}`, { seen: seen.head.size, size: own?.head.size ?? 0, epoch });
    await this.#save({ ...this.#seen, own: seen });
  }

  async #report(kind: WitnessEvent["kind"], data: WitnessEvent["data"]): Promise<void> {
    this.#deps.log.error("a log does not go on from what was seen of it", { kind, ...data });
    await this.#deps.putOnRecord({ kind, actor: "server", data });
  }

  async #save(seen: SeenHeads): Promise<void> {
    await writeSeenHeads(this.#deps.stateDir, seen);
    this.#seen = seen;
  }

  #countersign({ node_id: nodeId, org_id: orgId }: EnrolledNode): void {
    const head = this.#seen.org?.head;
    if (head === undefined || this.#key === undefined) return;
    this.#countersignature = new Uint8Array(this.#key.sign(witnessBytes(nodeId, orgId, head)));
  }
}

/** The part of a session that a witness needs. */
export interface WitnessSession {
  readonly node: EnrolledNode;
  readonly identity: SigningKey;
}

/** Why a head does not continue the one that was seen; `undefined`: it does. */
function judge(seen: SignedHead, head: SignedHead, proof: readonly Uint8Array[]): Contradiction["fault"] | undefined {
  if (head.size < seen.size) return "rewound";
  const claim = { before: seen.size, rootBefore: seen.root, size: head.size, proof };
  const roots = rootsOfConsistency(sha256, claim);
  const continues =
    roots !== undefined && constantTimeEqual(roots.before, seen.root) && constantTimeEqual(roots.after, head.root);
  return continues ? undefined : "forked";
}

function judgeOwn(seen: SeenHead, own: OwnHead): Contradiction["fault"] | undefined {
  if (seen.log !== own.log) return "forked";
  if (own.head.size < seen.head.size) return "rewound";
  return own.head.size > seen.head.size || constantTimeEqual(own.head.root, seen.head.root) ? undefined : "forked";
}

function toWire({ size, root, time, keyId, signature }: SignedHead) {
  return { size: BigInt(size), root, time: BigInt(time), keyId, signature };
}

function fromWire({ size, root, time, keyId, signature }: AuditHead): SignedHead {
  return { size: Number(size), root, time: Number(time), keyId, signature };
}
