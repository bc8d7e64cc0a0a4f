import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Clock, MessageQueue, type Random } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import {
  type Ack,
  type ControlStreamRequest,
  type ControlStreamResponseSchema,
  Goaway_Reason,
  type Heartbeat,
  NodeGatewayService,
} from "@gatehouse/wire";
import type { OrgContinuity } from "../../audit/org-continuity.ts";
import type { Bus } from "../../bus/bus.ts";
import type { SignedOut } from "../../commands/take-commands.ts";
import type { ServerKeys } from "../../keys/server-keys.ts";
import type { NodeCaller } from "../../sessions/authenticate-node.ts";
import { issueNonce } from "../../sessions/proof-nonce.ts";
import { renewSession } from "../../sessions/renew-session.ts";
import type { Store } from "../../store/store.ts";
import type { Seen } from "../../streams/look-for-streams.ts";
import { type Counted, type OwnStream, whyNotOwn } from "../../streams/own-stream.ts";
import { signFreshness } from "../../streams/sign-freshness.ts";
import { signRevocation } from "../../streams/sign-revocation.ts";
import { toCommandEnd, toWireCommand } from "../services/describe-command.ts";
import { answerHeartbeat } from "./answer-heartbeat.ts";
import type { StreamWork } from "./stream-work.ts";

/** What a stream needs of its server. */
export interface StreamDeps {
  readonly store: Store;
  readonly keys: ServerKeys;
  readonly work: StreamWork;
  readonly bus: Bus;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  readonly continuity: OrgContinuity;
  readonly origin: string;
}

/** What goes to a node on its control stream. */
export type ControlMessage = NonNullable<MessageInitShape<typeof ControlStreamResponseSchema>["message"]>;

const GOAWAY = {
  draining: Goaway_Reason.DRAINING,
  replaced: Goaway_Reason.REPLACED,
  session_ended: Goaway_Reason.SESSION_ENDED,
  node_revoked: Goaway_Reason.NODE_REVOKED,
  // Its next Hello proves how far the node is.
  put_back: Goaway_Reason.SESSION_ENDED,
} as const;

/** Messages that wait for a node that reads slowly; beyond it the stream ends. Eight commands of 1 MiB fit. */
const MAX_WAITING = 256;
const ACCEPTED_EVERY_MS = 30_000;
/** Greetings fall on multiples of it, so that many streams look in one transaction. */
const GREET_TOGETHER_MS = 100;
const METHOD = `${NodeGatewayService.typeName}/${NodeGatewayService.method.controlStream.name}`;

/** One node's open control stream: what comes in is acted on, what is for the node waits in order. */
export class NodeStream implements Disposable {
  readonly orgId: string;
  readonly nodeId: string;
  #own: OwnStream;
  readonly #server: StreamDeps;
  readonly #outgoing = new MessageQueue<ControlMessage>(MAX_WAITING);
  #expiresAt: number;
  /** The generation of the last revocation that was sent here. */
  #revokedThrough = 0;
  #timer: NodeJS.Timeout | undefined;
  #isGreetingDue = false;
  /** Commands without an end here that were sent on no earlier stream. */
  readonly #sentFirst = new Set<string>();
  /** Work that was asked for and has not begun. */
  readonly #due = new Set<() => Promise<void>>();
  #isWorking = false;

  constructor(server: StreamDeps, caller: NodeCaller, streamId: string) {
    ({ orgId: this.orgId, nodeId: this.nodeId } = caller);
    this.#own = { nodeId: caller.nodeId, streamId, fence: caller.fence };
    this.#server = server;
    this.#expiresAt = caller.sessionExpiresAt;
  }

  /** What is to be sent, until the stream ends. */
  get outgoing(): AsyncIterable<ControlMessage> {
    return this.#outgoing;
  }

  /** Greets the node, for which this was counted at a time, and begins to hand out what waits for it. */
  begin(counted: Counted, readAt: number): void {
    this.#count(counted);
    this.#accept(counted.generation, readAt);
    this.lookAgain();
  }

  #count(node: Partial<Counted>): void {
    const { generation = 0, commandSeq = 0 } = { ...this.#own.counted, ...node };
    this.#own = { ...this.#own, counted: { generation, commandSeq } };
  }

  send(message: ControlMessage): boolean {
    const isTaken = this.#outgoing.push(message);
    if (!isTaken && !this.#outgoing.hasEnded) {
      this.#server.log.warn("node reads too slowly: its stream ends", { nodeId: this.nodeId });
      this.end();
    }
    return isTaken;
  }

  /** Says why, and ends the stream. */
  goAway(reason: keyof typeof GOAWAY, retryAfterMs = 0): void {
    this.send({ case: "goaway", value: { reason: GOAWAY[reason], retryAfterMs: BigInt(retryAfterMs) } });
    this.end();
  }

  end(): void {
    this.#outgoing.end();
  }

  fail(failure: unknown): void {
    this.#outgoing.fail(failure);
  }

  /** Acts on one message of the node. */
  async receive({ message }: ControlStreamRequest): Promise<void> {
    if (this.#outgoing.hasEnded || this.#isOver()) return;
    switch (message.case) {
      case "ack":
        return this.#acknowledge(message.value);
      case "heartbeat":
        return this.#answerHeartbeat(message.value);
      case "renewSession":
        return this.#renew(message.value.proof);
      default:
        return this.end(); // a second Hello breaks the protocol
    }
  }

  /** Something may wait for the node. */
  takeCommands(): void {
    this.#turn(this.#take);
  }

  /** Something may have changed about the node, its session or its stream. */
  checkStanding(): void {
    this.#turn(this.#check);
  }

  /** Anything may have changed. */
  lookAgain(): void {
    this.#turn(this.#look);
  }

  /** What was taken back goes first: it acts before the bundle that no longer holds it. */
  #sendState({ node, revocations }: Seen): void {
    const { orgId, nodeId } = this;
    for (const { generation, ids } of revocations) {
      this.send({ case: "revocation", value: signRevocation({ orgId, nodeId, generation, ids }, this.#server.keys) });
      this.#revokedThrough = generation;
    }
    const { generation, appliedGeneration } = node;
    if (generation > appliedGeneration) this.send({ case: "bundleChanged", value: { generation: BigInt(generation) } });
  }

  readonly #take = async (): Promise<void> => {
    const taken = await this.#server.work.takes.ask(this.orgId, this.#own);
    if (taken === undefined) return this.checkStanding();
    this.#sendCommands(taken);
  };

  #sendCommands(signed: readonly SignedOut[]): void {
    for (const one of signed) {
      this.#count({ commandSeq: one.seq });
      if (one.command.seq === undefined) this.#sentFirst.add(one.command.id);
      this.send({ case: "command", value: toWireCommand(one) });
    }
  }

  readonly #look = async (): Promise<void> => {
    const own = { ...this.#own, revokedThrough: this.#revokedThrough };
    const readAt = this.#server.clock.now();
    const seen = await this.#server.work.looks.ask(this.orgId, own);
    if (seen === undefined) return this.checkStanding();
    this.#count(seen.node);
    if (this.#isGreetingDue) this.#accept(seen.node.generation, readAt);
    this.#sendState(seen);
    if (seen.hasCommands) await this.#take();
  };

  readonly #check = async (): Promise<void> => {
    const { store, log } = this.#server;
    const reason = await store.inOrg(this.orgId, (tx) => whyNotOwn(tx, this.#own));
    if (reason === "put_back") log.error("database was put back under this server", { nodeId: this.nodeId });
    if (reason !== undefined) this.goAway(reason);
  };

  async #acknowledge({ commandId, status, message, payload }: Ack): Promise<void> {
    const { work, log } = this.#server;
    const isOfFirstSending = this.#sentFirst.delete(commandId);
    const word = { commandId, state: toCommandEnd(status), message, payload, isOfFirstSending };
    const { done } = await work.acks.ask(this.orgId, { ...word, stream: this.#own });
    if (done === "fenced") return this.checkStanding();
    if (done === "unknown") log.warn("node acknowledged an unknown command", { nodeId: this.nodeId, commandId });
    this.send({ case: "ackReceived", value: { commandId } });
  }

  async #answerHeartbeat(heartbeat: Heartbeat): Promise<void> {
    const { orgId, nodeId } = this;
    const answer = await answerHeartbeat(heartbeat, { orgId, nodeId, isOnStream: true }, this.#server);
    if (answer === undefined) return this.checkStanding();
    this.send({ case: "heartbeatAnswer", value: answer });
  }

  async #renew(proof: string): Promise<void> {
    const { store, keys, random, origin } = this.#server;
    const deps = { store, random, macKey: keys.macKey };
    const input = { orgId: this.orgId, ...this.#own, proof, url: `${origin}/${METHOD}` };
    const { sessionToken, expiresAt } = await renewSession(input, deps);
    this.#expiresAt = expiresAt;
    this.send({ case: "sessionRenewed", value: { sessionToken, expiresAt: BigInt(expiresAt) } });
    this.#schedule();
  }

  /** What was read is as fresh as its reading: the time of the greeting may be long after, on a server that stood still. */
  #accept(generation: number, readAt: number): void {
    const { keys, clock } = this.#server;
    const serverTime = clock.now();
    const { orgId, nodeId } = this;
    const value = {
      serverTime: BigInt(serverTime),
      sessionExpiresAt: BigInt(this.#expiresAt),
      dpopNonce: issueNonce(keys.macKey, serverTime),
      keySetEpoch: BigInt(keys.keySet.epoch),
      freshness: signFreshness({ orgId, nodeId, generation, serverTime: readAt }, keys),
    };
    this.send({ case: "accepted", value });
    this.#isGreetingDue = false;
    this.#schedule();
  }

  /** The next greeting, or the session's end when that comes first. */
  #schedule(): void {
    clearTimeout(this.#timer);
    const now = this.#server.clock.now();
    const leftMs = Math.max(0, this.#expiresAt - now);
    this.#timer = setTimeout(this.#greet, Math.min(ACCEPTED_EVERY_MS - (now % GREET_TOGETHER_MS), leftMs));
  }

  readonly #greet = (): void => {
    if (this.#isOver()) return;
    this.#isGreetingDue = true;
    this.lookAgain();
  };

  /** A stream never outlives its session. */
  #isOver(): boolean {
    const isOver = this.#server.clock.now() >= this.#expiresAt;
    if (isOver) this.goAway("session_ended");
    return isOver;
  }

  /** Does work after what is under way; what was asked for twice before it began is done once. */
  #turn(work: () => Promise<void>): void {
    if (this.#outgoing.hasEnded) return;
    this.#due.add(work);
    if (!this.#isWorking) void this.#takeTurns();
  }

  /** One after the other: commands go out in the order of their numbers. A fault ends the stream: the node comes back. */
  async #takeTurns(): Promise<void> {
    this.#isWorking = true;
    try {
      for (const work of this.#due) {
        this.#due.delete(work);
        if (!this.#outgoing.hasEnded) await work();
      }
    } catch (failure) {
      this.fail(failure);
    } finally {
      this.#isWorking = false;
    }
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.end();
  }
}
