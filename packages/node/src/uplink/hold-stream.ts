import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { MessageQueue, Secret } from "@gatehouse/core";
import { type Log, toServerProblem } from "@gatehouse/kit";
import {
  type Accepted,
  type CheckMessage,
  type ControlStreamRequest,
  ControlStreamRequestSchema,
  type ControlStreamResponse,
  type Goaway,
  type Heartbeat,
  NodeGatewayService,
} from "@gatehouse/wire";
import type { CommandExecutor } from "../commands/command-executor.ts";
import type { CommandJournal } from "../commands/command-journal.ts";
import type { FleetFollower } from "./fleet-follower.ts";
import type { HeadWitness } from "./head-witness.ts";
import type { NodeSession } from "./node-session.ts";
import type { ServerTime } from "./server-time.ts";

type Outgoing = NonNullable<MessageInitShape<typeof ControlStreamRequestSchema>["message"]>;
type Message = ControlStreamResponse["message"];

export interface HoldDeps {
  readonly journal: CommandJournal;
  readonly executor: CommandExecutor;
  readonly time: ServerTime;
  readonly check: CheckMessage;
  readonly log: Log;
  /** New at each start of the daemon. */
  readonly bootId: string;
  readonly softwareVersion: string;
  /** Never fails. */
  readonly heartbeat: () => Promise<Heartbeat>;
  readonly fleet: FleetFollower;
  readonly witness: HeadWitness;
}

/** What can be sent while the stream is open. */
export interface OpenStream {
  send(message: Outgoing): void;
}

const MAX_WAITING = 1_024;
const HEARTBEAT_EVERY_MS = 30_000;
/** Heartbeats of a fleet do not come all at once. */
const JITTER = 0.1;
const REMEMBERED_MS = 86_400_000;
const PROTOCOL_VERSIONS = [1];
const METHOD = `${NodeGatewayService.typeName}/${NodeGatewayService.method.controlStream.name}`;

/**
 * Holds the node's control stream until it ends: greets, heartbeats, renews the session, takes commands. Answers the
 * server's word of farewell where there was one. Fails as the stream does.
 */
export async function holdStream(
  session: NodeSession,
  deps: HoldDeps,
  { signal, onOpen }: { readonly signal: AbortSignal; readonly onOpen: (stream: OpenStream | undefined) => void },
): Promise<Goaway | undefined> {
  const outgoing = new MessageQueue<ControlStreamRequest>(MAX_WAITING);
  const send = (message: Outgoing) => {
    if (!outgoing.push(create(ControlStreamRequestSchema, { message }))) outgoing.end();
  };
  const held = new HeldStream(session, deps, send);
  send(held.hello());
  const heartbeats = beatForever(async () => send({ case: "heartbeat", value: await deps.heartbeat() }));
  try {
    for await (const { message } of session.gateway.controlStream(outgoing, { signal, timeoutMs: 0 })) {
      if (message.case === "goaway") return message.value;
      await held.receive(message);
      // Commands' ends and whatever else has to say something wait for the server's first word.
      if (message.case === "accepted") onOpen({ send });
    }
    return undefined;
  } catch (failure) {
    throw toServerProblem(failure);
  } finally {
    onOpen(undefined);
    heartbeats[Symbol.dispose]();
    outgoing.end();
  }
}

class HeldStream {
  readonly #session: NodeSession;
  readonly #deps: HoldDeps;
  readonly #send: (message: Outgoing) => void;
  /** How long the session lives from a renewal on. */
  #lifeMs = 0;
  #isRenewing = false;

  constructor(session: NodeSession, deps: HoldDeps, send: (message: Outgoing) => void) {
    this.#session = session;
    this.#deps = deps;
    this.#send = send;
  }

  hello(): Outgoing {
    const { journal, bootId, softwareVersion, fleet } = this.#deps;
    const [lastCommand, lastBundle] = [journal.position(), fleet.header];
    const own = { protocolVersions: PROTOCOL_VERSIONS, softwareVersion, bootId };
    const runningCommandIds = [...journal.executing()];
    const last = { ...(lastCommand && { lastCommand }), ...(lastBundle && { lastBundle }) };
    return { case: "hello", value: { ...own, runningCommandIds, ...last } };
  }

  async receive(message: Message): Promise<void> {
    const { journal, executor, time, check, fleet, witness } = this.#deps;
    switch (message.case) {
      case "accepted":
        return this.#accept(message.value);
      case "command": {
        const { org_id: orgId, node_id: nodeId } = this.#session.node;
        const keySet = await this.#session.keySet();
        return executor.take(message.value, { orgId, nodeId, keySet, check, now: () => time.now() });
      }
      case "ackReceived":
        return this.#letGo(() => journal.markReceived(message.value.commandId));
      case "sessionRenewed":
        this.#session.proofs.begin(new Secret(message.value.sessionToken), Number(message.value.expiresAt));
        this.#lifeMs = Number(message.value.expiresAt) - this.#deps.time.now();
        this.#isRenewing = false;
        return;
      case "bundleChanged":
        return fleet.want(Number(message.value.generation));
      case "heartbeatAnswer":
        fleet.want(Number(message.value.bundleGeneration));
        return witness.hear(message.value, this.#session);
      case "revocation":
        return fleet.revoke(message.value);
      default:
        return; // what a newer server says beside
    }
  }

  async #accept({ serverTime, sessionExpiresAt, dpopNonce, freshness, keySetEpoch }: Accepted): Promise<void> {
    const { time, executor, journal, fleet } = this.#deps;
    const { epoch } = await this.#session.keySet();
    // Nothing else that is signed is looked at before the keys are known that sign it now.
    if (Number(keySetEpoch) > epoch) await this.#session.learnKeySet(Number(keySetEpoch));
    time.observe(Number(serverTime));
    this.#session.proofs.useNonce(dpopNonce);
    const leftMs = Number(sessionExpiresAt - serverTime);
    this.#lifeMs = Math.max(this.#lifeMs, leftMs);
    // At two thirds of its life; the nonce is fresh now.
    if (leftMs <= this.#lifeMs / 3) this.#renew();
    this.#letGo(() => journal.forgetBefore(Number(serverTime) - REMEMBERED_MS));
    executor.resend();
    fleet.hear(freshness);
  }

  /** On a full disk the journal keeps what is over: revocations still have to be heard. */
  #letGo(work: () => void): void {
    try {
      work();
    } catch (failure) {
      this.#deps.log.warn("journal cannot be written", { failure });
    }
  }

  #renew(): void {
    const { proofs, node } = this.#session;
    const made = this.#isRenewing ? undefined : proofs.prove(`${node.server_url}/${METHOD}`);
    if (made === undefined) return;
    this.#isRenewing = true;
    this.#send({ case: "renewSession", value: { proof: made.proof } });
  }
}

function beatForever(beat: () => Promise<void>): Disposable {
  let timer: NodeJS.Timeout;
  const next = () => {
    const afterMs = HEARTBEAT_EVERY_MS * (1 - JITTER + 2 * JITTER * Math.random());
    timer = setTimeout(() => {
      void beat();
      next();
    }, afterMs);
  };
  next();
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
