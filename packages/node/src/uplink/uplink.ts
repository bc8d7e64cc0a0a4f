import { uptime } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type Clock, Lifetime, linkSignals, makeUuid, type Random, toProblem } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import { createMessageCheck, Goaway_Reason } from "@gatehouse/wire";
import { Attachments } from "../attachments/attachments.ts";
import { type CommandEvent, CommandExecutor, type ExecutorDeps } from "../commands/command-executor.ts";
import type { CommandHandlers } from "../commands/command-handlers.ts";
import type { CommandJournal } from "../commands/command-journal.ts";
import type { HandlerUplink } from "../commands/node-handlers.ts";
import type { FindStreamed } from "../runs/streamed.ts";
import { FleetCourier, type FleetGate, type FleetStatus } from "./fleet-courier.ts";
import { FleetFollower } from "./fleet-follower.ts";
import { HeadWitness, type WitnessEvent } from "./head-witness.ts";
import { makeHeartbeat } from "./heartbeat.ts";
import { type HoldDeps, holdStream, type OpenStream } from "./hold-stream.ts";
import { KeptRevocations } from "./kept-revocations.ts";
import { NodeFiles } from "./node-files.ts";
import { type NodeSession, openNodeSession } from "./node-session.ts";
import { retryDelays } from "./retry-delays.ts";
import { ServerTime } from "./server-time.ts";
import { tellPast } from "./tell-past.ts";

export interface UplinkOptions {
  readonly stateDir: string;
  /** Closed with the uplink. */
  readonly journal: CommandJournal;
  readonly softwareVersion: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly random: Random;
  readonly gate: FleetGate;
  /** Durable when it resolves. */
  readonly putOnRecord: (event: CommandEvent | WitnessEvent) => Promise<void>;
  /** Whether all of this node does what it should. */
  readonly isWell: () => Promise<boolean>;
  readonly runCount: () => number;
  /** Sends what the node has to tell while a session is open; closed with the uplink. */
  readonly reports: AsyncDisposable & {
    /** Bytes that wait for the server. */
    readonly spoolDepth: number;
    serve(session: NodeSession, signal: AbortSignal): Promise<void>;
    /** Sends what is new of the runs at once. Never fails. */
    tellRuns(session: NodeSession, signal: AbortSignal): Promise<void>;
  };
  readonly streamed: FindStreamed;
  readonly handlers: (uplink: HandlerUplink) => CommandHandlers;
}

/** How a node stands with its server, for a person or a script. */
export interface UplinkStatus {
  readonly connected: boolean;
  /** Of the session that is open; null: there is none. */
  readonly session_expires_at: string | null;
  /** So long credentials of the organisation are used without a further word of the server; 0: they are not. */
  readonly fresh_for_seconds: number;
  /** Why the newest bundle that the server sent is not served; null: it is. */
  readonly bundle_fault: string | null;
  /** Credentials of the bundle that is served which this node refuses, each with the reason. */
  readonly credentials_refused: FleetStatus["refused"];
}

/** After so long a stream counts as one that worked: the next attempt waits no longer than the first one did. */
const STABLE_MS = 30_000;
/** How often a node that was refused looks whether something changed on its own disk. */
const LOOK_EVERY_MS = 2_000;
/** So long an end waits for the server to take what it is told last. */
const LAST_WORD_MS = 1_000;

/**
 * A node's way to its server: a session and its control stream, opened again and again for as long as this lives.
 * Nothing here fails because the server is away.
 */
export class Uplink implements AsyncDisposable {
  readonly #options: UplinkOptions;
  readonly #life = new Lifetime();
  readonly #files: NodeFiles;
  readonly #kept: KeptRevocations;
  readonly #deps: HoldDeps;
  #stream: OpenStream | undefined;
  #session: NodeSession | undefined;

  private constructor(options: UplinkOptions) {
    this.#options = options;
    this.#files = new NodeFiles(options.stateDir);
    this.#kept = new KeptRevocations(options.stateDir);
    const { log, clock, random, putOnRecord, softwareVersion, runCount, reports, stateDir } = options;
    this.#life.own(reports);
    const journal = this.#life.own(options.journal);
    const sendAck: ExecutorDeps["sendAck"] = (ack) => this.#stream?.send({ case: "ack", value: ack });
    const time = new ServerTime(clock);
    const fleet = new FleetFollower({
      log,
      courier: new FleetCourier(stateDir, options.gate),
      session: () => this.#session,
      onApplied: () => void this.#beat(),
    });
    const check = createMessageCheck();
    const session = () => this.#session;
    const attachments = this.#life.own(new Attachments({ streamed: options.streamed, check, session, log }));
    const handlers = options.handlers({ session, fleet, attachments, now: () => time.now() });
    const executor = this.#life.own(new CommandExecutor({ journal, handlers, log, putOnRecord, sendAck }));
    const bootId = makeUuid(clock.now(), random);
    const witness = new HeadWitness({ stateDir, auditFolder: join(stateDir, "audit"), log, putOnRecord });
    const isWell = async () => !witness.isContradicted && fleet.isWhole && (await options.isWell());
    const said = { runCount, isWell, spoolDepth: () => reports.spoolDepth, fleet, witness };
    const heartbeat = () => makeHeartbeat(said);
    const own = { journal, executor, log, bootId, softwareVersion, heartbeat, fleet, witness };
    this.#deps = { ...own, time, check };
  }

  static open(options: UplinkOptions): Uplink {
    const uplink = new Uplink(options);
    uplink.#life.run((signal) => uplink.#stayConnected(signal));
    return uplink;
  }

  /** Whether the server has greeted this node and the stream is open. */
  get isConnected(): boolean {
    return this.#stream !== undefined;
  }

  /** What is counted of it, asking nobody. */
  get figures(): { readonly connected: boolean; readonly generation: number; readonly spoolBytes: number } {
    const { generation } = this.#deps.fleet;
    return { connected: this.isConnected, generation, spoolBytes: this.#options.reports.spoolDepth };
  }

  /** How this node stands with its server. Fails as the gate does when it does not answer. */
  async describe(): Promise<UplinkStatus> {
    const { freshUntilSeconds, refused } = await this.#options.gate.call("fleetStatus", null);
    const expiresAt = this.#session?.proofs.expiresAt;
    return {
      connected: this.isConnected,
      session_expires_at: expiresAt === undefined ? null : new Date(expiresAt).toISOString(),
      fresh_for_seconds: Math.max(0, Math.floor(freshUntilSeconds - uptime())),
      bundle_fault: this.#deps.fleet.fault ?? null,
      credentials_refused: refused,
    };
  }

  /** Before this node ends: says what became of its runs, which else is not known before it comes again. Never fails. */
  async sayLast(): Promise<void> {
    const session = this.#session;
    if (session === undefined || !this.isConnected) return;
    await this.#options.reports.tellRuns(session, AbortSignal.timeout(LAST_WORD_MS));
  }

  async #stayConnected(signal: AbortSignal): Promise<void> {
    const { clock, log } = this.#options;
    let delays = retryDelays(signal);
    for (let turn = await delays.next(); turn.done !== true; turn = await delays.next()) {
      const startedMs = clock.monotonicMs();
      const pauseMs = await this.#attempt(signal).catch((failure: unknown) => {
        if (!signal.aborted) log.warn("server is away", { code: toProblem(failure).code, failure });
        return 0;
      });
      if (clock.monotonicMs() - startedMs > STABLE_MS) {
        delays = retryDelays(signal);
        turn = await delays.next();
      }
      if (turn.done === true) return;
      await delay(pauseMs, undefined, { signal });
      await turn.value();
    }
  }

  async #attempt(signal: AbortSignal): Promise<number> {
    const introduction = await this.#files.introduction();
    try {
      return await this.#connectOnce(signal);
    } catch (failure) {
      if (signal.aborted || !(await this.#isNobody())) throw failure;
      await this.#waitForOther(introduction, signal);
      return 0;
    }
  }

  /** Whether asking again is of no use: the server does not know this node, or this host is none any more. */
  async #isNobody(): Promise<boolean> {
    return (await this.#files.enrolled()) === undefined || (await this.#files.refusedSince()) !== undefined;
  }

  /** The server is left alone until this host is another node, or has another key. */
  async #waitForOther(introduction: string, signal: AbortSignal): Promise<void> {
    this.#options.log.error("this host is not a node any more: enroll it again, or remove it");
    while ((await this.#files.introduction()) === introduction && (await this.#isNobody())) {
      await delay(LOOK_EVERY_MS, undefined, { signal });
    }
  }

  /** One session with its stream. Answers how long the server asks to be left alone. */
  async #connectOnce(signal: AbortSignal): Promise<number> {
    const { log, stateDir } = this.#options;
    using session = await openNodeSession(stateDir, signal);
    this.#session = session;
    const ended = new AbortController();
    using open = linkSignals(signal, ended.signal);
    let reporting: Promise<void> | undefined;
    try {
      // A stream's messages can be sent once: its proof needs a nonce that an answered call has brought.
      await this.#deps.fleet.begin((await this.#files.require()).key_set.epoch);
      await this.#deps.witness.begin(session);
      const { answer } = await session.gateway.uploadHeartbeat({ heartbeat: await this.#deps.heartbeat() }, { signal });
      if (answer !== undefined) await this.#deps.witness.hear(answer, session);
      const { servedEpoch } = this.#deps.fleet;
      await tellPast(session, { files: this.#files, kept: this.#kept, log, servedEpoch }, signal);
      reporting = this.#options.reports.serve(session, open.signal);
      const farewell = await holdStream(session, this.#deps, { signal, onOpen: (stream) => this.#onOpen(stream) });
      const reason = Goaway_Reason[farewell?.reason ?? Goaway_Reason.UNSPECIFIED];
      log.info("control stream ended", { reason });
      return Number(farewell?.retryAfterMs ?? 0n);
    } finally {
      ended.abort();
      await reporting;
      this.#session = undefined;
    }
  }

  /** Says at once what is served now. */
  async #beat(): Promise<void> {
    const value = await this.#deps.heartbeat();
    this.#stream?.send({ case: "heartbeat", value });
  }

  #onOpen(stream: OpenStream | undefined): void {
    if (stream !== undefined && this.#stream === undefined) {
      this.#options.log.info("connected to the server");
      this.#stream = stream;
      this.#deps.executor.resend();
    }
    if (stream === undefined) this.#stream = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#life[Symbol.asyncDispose]();
  }
}
