import type { Socket } from "node:net";
import { PROBLEMS, type Problem, type ProblemCode, toProblem } from "@gatehouse/core";
import type { RequestHead } from "../http1/messages.ts";
import { RequestHeadReader } from "../http1/request-head-reader.ts";
import type { Refusal, RequestContext, Tunnel } from "../pipeline/request-context.ts";
import { runStages } from "../pipeline/stages.ts";
import type { SessionCache } from "../upstream/open-upstream.ts";
import { UpstreamConnection } from "../upstream/upstream-connection.ts";
import { NO_PLAN } from "./compile-run.ts";
import { Exchange, type ExchangeEnd, type ExchangeOwner } from "./exchange.ts";
import { problemResponse } from "./problem-response.ts";
import { recordOf, type Timing } from "./request-record.ts";
import type { RunEntry } from "./run-table.ts";
import { HEAD_TIMEOUT_MS, type Swept, type WorkerContext } from "./worker-context.ts";

/** What differs between the proxy's front and the inside of a tunnel. */
export interface SessionRole {
  readonly tunnel: Tunnel | undefined;
  /** The run of a request, looked up anew for each. */
  identify(head: RequestHead): { readonly entry: RunEntry } | { readonly refusal: Refusal };
  /** Whether a CONNECT may open its tunnel. */
  readonly checkConnect?: (entry: RunEntry, head: RequestHead) => Refusal | undefined;
  /** Takes an allowed CONNECT over, the stream with it; absent inside a tunnel, where CONNECT is refused. */
  readonly onConnect?: (connect: {
    readonly entry: RunEntry;
    readonly head: RequestHead;
    readonly rest: Buffer;
  }) => void;
}

interface Current extends Timing {
  readonly head: RequestHead;
  readonly entry: RunEntry | undefined;
  context: RequestContext | undefined;
  exchange: Exchange | undefined;
}

/** Requests on one client stream, one after the other. Pipelined ones wait for their turn. */
export class HttpSession implements ExchangeOwner, Swept, Disposable {
  readonly client: Socket;
  readonly #worker: WorkerContext;
  readonly #role: SessionRole;
  readonly #heads = new RequestHeadReader();
  readonly #sessions: SessionCache = new Map();
  readonly #abort = new AbortController();
  #upstream: UpstreamConnection | undefined;
  #current: Current | undefined;
  #waiting: Buffer | undefined;
  #headSince: number | undefined;
  #lastProgressMs: number;
  #state: "open" | "refusing" | "left" = "open";

  constructor(client: Socket, worker: WorkerContext, role: SessionRole) {
    this.client = client;
    this.#worker = worker;
    this.#role = role;
    this.#lastProgressMs = worker.clock.monotonicMs();
    this.#headSince = this.#lastProgressMs;
    worker.swept.add(this);
    client.on("data", this.#onData);
    client.on("drain", this.#onDrain);
    client.on("close", this.#onClose);
    client.on("error", this.#onClose);
    // An idle tunnel may stay; an unfinished handshake may not.
    if (role.tunnel !== undefined) client.once("secure", () => this.#settle());
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#lastProgressMs = this.#worker.clock.monotonicMs();
    if (this.#state === "refusing") return;
    const exchange = this.#current?.exchange;
    if (exchange?.readsRequest) exchange.onClientData(chunk);
    else if (this.#current !== undefined) this.#hold(chunk);
    else this.#readHead(chunk);
  };

  readonly #onDrain = (): void => this.#current?.exchange?.onClientDrain();

  readonly #onClose = (): void => {
    const current = this.#current;
    this.#current = undefined;
    current?.exchange?.abandon();
    if (current !== undefined) this.#record(current, { status: 499, code: undefined });
    this[Symbol.dispose]();
  };

  /** Bytes that belong to no exchange yet: kept, and no more are read until their turn comes. */
  #hold(chunk: Buffer): void {
    this.#waiting = this.#waiting === undefined ? chunk : Buffer.concat([this.#waiting, chunk]);
    this.client.pause();
  }

  #readHead(chunk: Buffer): void {
    this.#headSince ??= this.#lastProgressMs;
    const result = this.#heads.push(chunk);
    if (result.kind === "more") return;
    this.#headSince = undefined;
    if (result.kind === "refused") {
      return this.#refuseUnread({ code: "gate.ambiguous_request", detail: `The request is refused: ${result.why}.` });
    }
    this.#begin(result.head, result.rest);
  }

  #begin(head: RequestHead, rest: Buffer): void {
    const timing = { time: this.#worker.clock.now(), startedMs: this.#lastProgressMs };
    const identified = this.#role.identify(head);
    if ("refusal" in identified) {
      this.#current = { ...timing, head, entry: undefined, context: undefined, exchange: undefined };
      return this.#refuse(identified.refusal, rest);
    }
    const { entry } = identified;
    this.#current = { ...timing, head, entry, context: undefined, exchange: undefined };
    if (!this.#worker.records.hasRoom) {
      return this.#refuse({ code: "gate.audit_unavailable", detail: "Records are not being taken." }, rest);
    }
    if (head.method === "CONNECT") return this.#connect(entry, head, rest);
    const context = newContext(entry, head, this.#role.tunnel);
    this.#current.context = context;
    const refusal = runStages(context);
    if (refusal !== undefined) return this.#refuse(refusal, rest);
    this.#forward(context, rest);
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

  #forward(context: RequestContext, rest: Buffer): void {
    const key = `${context.isTls ? "https" : "http"}://${context.host}:${context.port}`;
    const kept = this.#upstream;
    if (kept?.isOpen && kept.key === key) return this.#exchange(context, kept, rest);
    kept?.[Symbol.dispose]();
    this.#upstream = undefined;
    this.client.pause();
    const { host, port, isTls } = context;
    const origin = { host, port, isTls, statedRanges: context.run.policy.addressRanges(host, port) };
    const current = this.#current;
    this.#worker.dialer.open(origin, { sessions: this.#sessions, signal: this.#abort.signal }).then(
      (socket) => {
        if (this.#current !== current || this.#state !== "open") return void socket.destroy();
        this.#upstream = new UpstreamConnection(socket, key);
        this.client.resume();
        this.#exchange(context, this.#upstream, rest);
      },
      (thrown: unknown) => {
        if (this.#current !== current || this.#state !== "open") return;
        this.client.resume();
        this.#refuse(asRefusal(toProblem(thrown)), rest);
      },
    );
  }

  #exchange(context: RequestContext, upstream: UpstreamConnection, rest: Buffer): void {
    if (this.#current === undefined) return;
    const exchange = new Exchange(this, context, upstream);
    this.#current.exchange = exchange;
    const held = this.#takeWaiting();
    exchange.start(held === undefined ? rest : Buffer.concat([rest, held]));
  }

  onExchangeEnd(end: ExchangeEnd): void {
    const current = this.#current;
    if (current === undefined) return;
    if (end.kind === "upgraded") return this.#record(current, { status: 101, code: undefined });
    if (end.kind === "failed") return this.#failed(current, end);
    this.#current = undefined;
    if (end.kind === "broken") {
      this.#record(current, { status: current.exchange?.status ?? 0, code: end.code });
      this.client.destroy();
      return;
    }
    if (current.exchange?.status !== 101) {
      this.#record(current, { status: current.exchange?.status ?? 0, code: undefined });
    }
    if (end.keepsClient) this.#next(end.rest);
    else this.#endClient();
  }

  #failed(current: Current, end: { readonly refusal: Refusal; readonly mayRetry: boolean }): void {
    this.#upstream = undefined;
    if (end.mayRetry && current.context !== undefined) {
      current.exchange = undefined;
      return this.#forward(current.context, Buffer.alloc(0));
    }
    this.#refuse(end.refusal, Buffer.alloc(0));
  }

  /** Goes on with what the client already sent of its next request. */
  #next(rest: Buffer | undefined): void {
    const held = this.#takeWaiting();
    const bytes = rest === undefined ? held : held === undefined ? rest : Buffer.concat([rest, held]);
    this.client.resume();
    if (bytes === undefined) return;
    // Deferred, so that a client's long pipeline cannot deepen the stack.
    setImmediate(() => {
      if (this.#state === "open" && this.#current === undefined) this.#readHead(bytes);
      else if (this.#state === "open") this.#hold(bytes);
    });
  }

  #takeWaiting(): Buffer | undefined {
    const held = this.#waiting;
    this.#waiting = undefined;
    return held;
  }

  /** Answers a request with a problem. The connection goes on only when no body of it is left to be read. */
  #refuse(refusal: Refusal, rest: Buffer): void {
    const current = this.#current;
    if (current === undefined) return;
    this.#current = undefined;
    const { head } = current;
    const keepsOpen = head.framing.kind === "none" && head.isPersistent && refusal.code !== "gate.ambiguous_request";
    const host = current.context?.host ?? this.#role.tunnel?.host;
    this.client.write(problemResponse({ refusal, host, keepsOpen, isHead: head.method === "HEAD" }));
    this.#record(current, { status: PROBLEMS[refusal.code].http, code: refusal.code });
    if (keepsOpen) this.#next(rest.length > 0 ? rest : undefined);
    else this.#endClient();
  }

  #refuseUnread(refusal: Refusal): void {
    this.client.write(problemResponse({ refusal, host: this.#role.tunnel?.host, keepsOpen: false }));
    const { tunnel } = this.#role;
    const nowMs = this.#worker.clock.monotonicMs();
    const place = { host: tunnel?.host ?? "", port: tunnel?.port ?? 0, isTls: tunnel?.isTls ?? false };
    this.#worker.records.add(
      recordOf({ time: this.#worker.clock.now(), startedMs: nowMs }, { nowMs, place, code: refusal.code, status: 400 }),
    );
    this.#endClient();
  }

  #record(current: Current, outcome: { readonly status: number; readonly code: ProblemCode | undefined }): void {
    const { exchange, context, head, entry } = current;
    this.#worker.records.add(
      recordOf(current, {
        ...outcome,
        nowMs: this.#worker.clock.monotonicMs(),
        run: entry?.current.snapshot,
        head,
        context,
        place: context ?? { host: this.#role.tunnel?.host ?? "", port: this.#role.tunnel?.port ?? 0, isTls: false },
        bytesIn: exchange?.bytesIn,
        bytesOut: exchange?.bytesOut,
      }),
    );
  }

  /** Says goodbye in order: what was written arrives, what still comes is read and dropped for a moment. */
  #endClient(): void {
    this.#state = "refusing";
    this.#headSince = this.#worker.clock.monotonicMs();
    this.#upstream?.[Symbol.dispose]();
    this.client.resume();
    this.client.end();
  }

  sweep(nowMs: number): void {
    const { idleTimeoutMs, upstreamTimeoutMs } = this.#worker.config;
    const exchange = this.#current?.exchange;
    if (this.#headSince !== undefined && nowMs - this.#headSince > HEAD_TIMEOUT_MS) this.client.destroy();
    else if (exchange?.awaitsResponse && nowMs - this.#lastProgressMs > upstreamTimeoutMs) exchange.timeOut();
    else if (this.#current === undefined && nowMs - this.#lastProgressMs > idleTimeoutMs) this.client.destroy();
  }

  #settle(): void {
    if (this.#state === "open" && this.#heads.isEmpty) this.#headSince = undefined;
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
    this.#worker.swept.delete(this);
    this.#abort.abort();
    this.#upstream?.[Symbol.dispose]();
    this.#upstream = undefined;
  }

  [Symbol.dispose](): void {
    if (this.#state === "left") return;
    this.#release();
    this.client.destroy();
  }
}

function newContext(entry: RunEntry, head: RequestHead, tunnel: Tunnel | undefined): RequestContext {
  const run = entry.current;
  return {
    run,
    head,
    tunnel,
    host: "",
    port: 0,
    isTls: false,
    path: "",
    query: undefined,
    plan: NO_PLAN,
    rule: undefined,
    fields: [],
    grants: [],
    isGranted: false,
  };
}

function asRefusal(problem: Problem): Refusal {
  return { code: problem.code, detail: problem.detail ?? "" };
}
