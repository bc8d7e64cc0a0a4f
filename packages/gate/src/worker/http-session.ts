import type { Socket } from "node:net";
import { PROBLEMS, type ProblemCode } from "@gatehouse/core";
import type { RequestHead } from "../http1/messages.ts";
import { newRequestContext } from "../pipeline/new-request-context.ts";
import { recheckRequest } from "../pipeline/recheck-request.ts";
import { refuseUpstream } from "../pipeline/refuse-upstream.ts";
import type { Refusal, RequestContext } from "../pipeline/request-context.ts";
import { runStages } from "../pipeline/stages.ts";
import type { UpstreamConnection } from "../upstream/upstream-connection.ts";
import { ClientHeads } from "./client-heads.ts";
import type { CompiledRun } from "./compile-run.ts";
import { Exchange, type ExchangeEnd, type ExchangeOwner } from "./exchange.ts";
import { UPSTREAM_IDLE_MS } from "./idle-upstreams.ts";
import { KeptUpstream } from "./kept-upstream.ts";
import { problemResponse } from "./problem-response.ts";
import type { Recodings } from "./recodings.ts";
import { addRecord, injectionEvent } from "./request-event.ts";
import { recordOf, type Timing } from "./request-record.ts";
import type { RunConnection, RunEntry } from "./run-table.ts";
import type { SessionRole } from "./session-role.ts";
import { WaitingBytes } from "./waiting-bytes.ts";
import { HEAD_TIMEOUT_MS, LAST_REQUEST_MS, type Swept, type WorkerContext } from "./worker-context.ts";

interface Current extends Timing {
  readonly head: RequestHead;
  readonly entry: RunEntry | undefined;
  context: RequestContext | undefined;
  exchange: Exchange | undefined;
}

const UNRECORDABLE: Refusal = { code: "gate.audit_unavailable", detail: "Nothing can be put on record now." };
/** After these it is in doubt where the next request begins, or there is no room for one. */
const ENDS_CLIENT: ReadonlySet<ProblemCode> = new Set(["gate.ambiguous_request", "gate.overloaded", "internal"]);

/** Requests on one client stream, one after the other. Pipelined ones wait for their turn. */
export class HttpSession implements ExchangeOwner, Swept, RunConnection {
  readonly client: Socket;
  readonly recodings: Recodings;
  readonly #worker: WorkerContext;
  readonly #role: SessionRole;
  readonly #heads: ClientHeads;
  readonly #upstream: KeptUpstream;
  #current: Current | undefined;
  /** While something waits, the client is not read. */
  readonly #waiting = new WaitingBytes();
  /** Between two requests: the next is read when the client has taken the last answer. */
  #isParked = false;
  #hasAsked = false;
  /** No request follows the one under way. */
  #isDraining = false;
  #headSince: number | undefined;
  #lastProgressMs: number;
  #state: "open" | "ending" | "closed" | "left" = "open";

  constructor(client: Socket, worker: WorkerContext, role: SessionRole) {
    this.client = client;
    this.recodings = worker.recodings;
    this.#worker = worker;
    this.#role = role;
    this.#heads = new ClientHeads(worker.headBytes.open(role.holder));
    this.#upstream = new KeptUpstream(worker);
    this.#lastProgressMs = worker.clock.monotonicMs();
    this.#headSince = this.#lastProgressMs;
    worker.swept.add(this);
    client.on("data", this.#onData);
    client.on("drain", this.#onDrain);
    client.on("close", this.#onClose);
    client.on("error", this.#onClose);
    // An idle tunnel may stay; an unfinished handshake may not.
    client.once("secure", () => {
      if (this.#heads.isEmpty) this.#headSince = undefined;
    });
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#lastProgressMs = this.#worker.clock.monotonicMs();
    if (this.#state !== "open") return;
    const exchange = this.#current?.exchange;
    try {
      if (exchange?.readsRequest) exchange.onClientData(chunk);
      else if (this.#current === undefined && !this.#isParked) this.#readHead(chunk);
      else {
        this.#waiting.add(chunk);
        this.client.pause();
      }
    } catch (thrown) {
      this.onFault(thrown);
    }
  };

  readonly #onDrain = (): void => {
    if (this.#isParked) this.#takeTurn();
    else this.#current?.exchange?.onClientDrain();
  };

  readonly #onClose = (): void => {
    const current = this.#current;
    this.#current = undefined;
    current?.exchange?.abandon();
    if (current !== undefined && current.exchange?.status !== 101) this.#record(current, 499, undefined);
    this[Symbol.dispose]();
  };

  #readHead(chunk: Buffer): void {
    this.#headSince ??= this.#lastProgressMs;
    const result = this.#heads.push(chunk);
    if (result.kind === "more") return;
    this.#headSince = undefined;
    if (result.kind === "refused") return this.#refuseUnread(result.refusal);
    this.#begin(result.head, result.rest);
  }

  #begin(head: RequestHead, rest: Buffer): void {
    this.#hasAsked = true;
    const identified = this.#role.identify(head);
    const { entry } = identified;
    const relayed = "relayed" in identified ? identified.relayed : undefined;
    const current: Current = {
      time: this.#worker.clock.now(),
      startedMs: this.#lastProgressMs,
      head: relayed?.head ?? head,
      entry,
      context: undefined,
      exchange: undefined,
    };
    this.#current = current;
    // First of all: a refusal, too, must be put on record.
    if (!this.#hasRoom) return this.#refuse(UNRECORDABLE, rest);
    if ("refusal" in identified) return this.#refuse(identified.refusal, rest);
    if (head.method === "CONNECT") return this.#connect(identified.entry, head, rest);
    const context = newRequestContext(identified.entry.current, current.head, relayed?.tunnel ?? this.#role.tunnel);
    current.context = context;
    const refusal = runStages(context);
    if (refusal !== undefined) return this.#refuse(refusal, rest);
    this.#forward(identified.entry, context, rest);
  }

  get #hasRoom(): boolean {
    return this.#worker.records.hasRoom && this.#worker.audit.hasRoom;
  }

  #connect(entry: RunEntry, head: RequestHead, rest: Buffer): void {
    if (this.#role.onConnect === undefined) {
      return this.#refuse({ code: "gate.protocol_unknown", detail: "A tunnel inside a tunnel is not served." }, rest);
    }
    const refusal = this.#role.checkConnect?.(entry, head);
    if (refusal !== undefined) return this.#refuse(refusal, rest);
    this.#current = undefined;
    this.#leave();
    this.#role.onConnect({ entry, head, rest });
  }

  #forward(entry: RunEntry, context: RequestContext, rest: Buffer): void {
    this.#waiting.putBack(rest);
    const kept = this.#upstream.take(context);
    if (kept !== undefined) this.#exchange(context, kept);
    else this.#open(entry, context);
  }

  #open(entry: RunEntry, context: RequestContext): void {
    this.client.pause();
    const current = this.#current;
    const isStillAsked = () => this.#current === current && this.#state === "open";
    this.#upstream
      .open(context, entry)
      .then(
        (opened) => {
          if (!isStillAsked()) return this.#upstream.release();
          this.client.resume();
          if (entry.current !== context.run) this.recheck(entry.current);
          // Cut by it, perhaps: the address was checked under the form that the run had.
          if (isStillAsked()) this.#exchange(context, opened);
        },
        (thrown: unknown) => {
          if (!isStillAsked()) return;
          this.client.resume();
          this.#refuse(refuseUpstream(thrown, context), undefined);
        },
      )
      .catch((thrown: unknown) => this.onFault(thrown));
  }

  #exchange(context: RequestContext, upstream: UpstreamConnection): void {
    if (this.#current === undefined) return;
    const exchange = new Exchange(this, context, upstream);
    this.#current.exchange = exchange;
    // On its way to the log before the credential is on its way to the service.
    if (context.carried.length > 0) this.#noteInjection(this.#current, context);
    exchange.start(this.#waiting.take());
  }

  #noteInjection(current: Current, context: RequestContext): void {
    const run = current.entry?.current.snapshot;
    const exchange = { bytesIn: 0, bytesOut: 0 };
    const outcome = { nowMs: current.startedMs, status: 0, place: context, run, head: current.head, context, exchange };
    this.#worker.audit.add(injectionEvent(recordOf(current, outcome), context.carried));
  }

  /** A bug met by one request must not end the process, and with it everybody's. */
  onFault(thrown: unknown): void {
    this.#worker.onFault(thrown);
    const current = this.#current;
    if (this.#state !== "open" || current === undefined) return void this.client.destroy();
    this.#cut(current, { code: "internal", detail: "" });
  }

  recheck(run: CompiledRun): void {
    const current = this.#current;
    if (current?.context === undefined || current.entry?.current !== run) return;
    const refusal = recheckRequest(current.context, run, this.#upstream.address);
    if (refusal !== undefined) this.#cut(current, refusal);
  }

  /** Ends a request in the middle: with a problem where nothing was answered yet, else by cutting the client off. */
  #cut(current: Current, refusal: Refusal): void {
    const { exchange } = current;
    exchange?.abandon();
    this.#isDraining = true;
    if (exchange === undefined || exchange.awaitsResponse) return this.#refuse(refusal, undefined);
    this.#current = undefined;
    this.#record(current, exchange.status, refusal);
    this.client.destroy();
  }

  onExchangeEnd(end: ExchangeEnd): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#lastProgressMs = this.#worker.clock.monotonicMs();
    if (end.kind === "upgraded") return this.#record(current, 101, undefined);
    if (end.kind === "failed") return this.#afterFailure(current, end);
    const status = current.exchange?.status ?? 0;
    this.#current = undefined;
    // A switch was put on record when it was made.
    const why = end.kind === "broken" ? end : undefined;
    if (status !== 101 || why !== undefined) this.#record(current, status, why);
    if (end.kind === "broken") this.client.destroy();
    else if (end.keepsClient && !this.#isDraining) this.#next(end.rest);
    else this.#endClient();
  }

  #afterFailure(current: Current, end: ExchangeEnd & { readonly kind: "failed" }): void {
    const { entry, context } = current;
    this.#upstream.release();
    if (!end.mayRetry || entry === undefined || context === undefined) return this.#refuse(end.refusal, end.rest);
    current.exchange = undefined;
    this.#waiting.putBack(end.rest);
    // Sent once more, and never a third time: not on a connection that could have been closed too.
    this.#open(entry, context);
  }

  /** Goes on with what the client already sent of its next request, once it has taken the last answer. */
  #next(rest: Buffer | undefined): void {
    this.#waiting.putBack(rest);
    if (this.#waiting.isEmpty && !this.client.writableNeedDrain) return void this.client.resume();
    this.#isParked = true;
    this.client.pause();
    // Deferred, so that a client's long pipeline cannot deepen the stack.
    if (!this.client.writableNeedDrain) setImmediate(() => this.#takeTurn());
  }

  #takeTurn(): void {
    if (this.#state !== "open" || !this.#isParked) return;
    this.#isParked = false;
    const bytes = this.#waiting.take();
    this.client.resume();
    if (bytes !== undefined) this.#onData(bytes);
  }

  /** Answers a request with a problem. The connection goes on only when no body of it is left to be read. */
  #refuse(refusal: Refusal, rest: Buffer | undefined): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    const { head } = current;
    const isWhole = head.framing.kind === "none" && !ENDS_CLIENT.has(refusal.code);
    const keepsOpen = isWhole && head.isPersistent && !this.#isDraining;
    const asked = head.method === "CONNECT" ? head.target : undefined;
    const host = current.context?.host || this.#role.tunnel?.host || asked;
    this.client.write(problemResponse({ refusal, host, keepsOpen, isHead: head.method === "HEAD" }));
    this.#record(current, PROBLEMS[refusal.code].http, refusal);
    if (keepsOpen) this.#next(rest);
    else this.#endClient();
  }

  /** Answers bytes that are no request, or not yet, and goes. */
  #refuseUnread(why: Refusal): void {
    const refusal = this.#hasRoom ? why : UNRECORDABLE;
    this.client.write(problemResponse({ refusal, host: this.#role.tunnel?.host, keepsOpen: false }));
    const timing = { time: this.#worker.clock.now(), startedMs: this.#lastProgressMs };
    this.#add(timing, { status: PROBLEMS[refusal.code].http, code: refusal.code });
    this.#endClient();
  }

  #record(current: Current, status: number, why: Pick<Refusal, "code" | "rule"> | undefined): void {
    const { exchange, context, head, entry } = current;
    this.#add(current, { ...why, status, exchange, context, head, run: entry?.current.snapshot });
  }

  #add(timing: Timing, outcome: Omit<Parameters<typeof recordOf>[1], "nowMs" | "place">): void {
    const place = outcome.context?.host ? outcome.context : this.#role.tunnel;
    addRecord(this.#worker, recordOf(timing, { ...outcome, place, nowMs: this.#worker.clock.monotonicMs() }));
  }

  /** Says goodbye in order: what was written arrives; what still comes is read and dropped for a moment. */
  #endClient(): void {
    this.#state = "ending";
    this.#headSince = this.#worker.clock.monotonicMs();
    this.#upstream[Symbol.dispose]();
    this.client.resume();
    this.client.end();
  }

  sweep(nowMs: number): void {
    const { idleTimeoutMs, upstreamTimeoutMs } = this.#worker.config;
    const exchange = this.#current?.exchange;
    const quietMs = nowMs - this.#lastProgressMs;
    if (this.#headSince !== undefined && nowMs - this.#headSince > HEAD_TIMEOUT_MS) this.client.destroy();
    else if (exchange?.awaitsResponse && quietMs > upstreamTimeoutMs) exchange.timeOut();
    else if (this.#current === undefined && quietMs > idleTimeoutMs) this.client.destroy();
    else if (this.#current === undefined && quietMs > UPSTREAM_IDLE_MS) this.#upstream.release();
  }

  drain(nowMs: number): void {
    this.#isDraining = true;
    const isExpected = !this.#hasAsked && nowMs - this.#lastProgressMs <= LAST_REQUEST_MS;
    if (this.#state === "open" && this.#current === undefined && !isExpected) this.#endClient();
  }

  /** Hands the stream to somebody else. */
  #leave(): void {
    this.#state = "left";
    this.client.off("data", this.#onData);
    this.client.off("drain", this.#onDrain);
    this.client.off("close", this.#onClose);
    this.client.off("error", this.#onClose);
    this.#release();
  }

  #release(): void {
    this.#heads[Symbol.dispose]();
    this.#worker.swept.delete(this);
    this.#upstream[Symbol.dispose]();
  }

  [Symbol.dispose](): void {
    if (this.#state === "left") return;
    this.#state = "closed";
    this.#release();
    this.client.destroy();
  }
}
