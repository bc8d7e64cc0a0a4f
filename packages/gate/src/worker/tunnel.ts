import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import { normaliseHost, PROBLEMS, type ProblemCode, parseAuthority } from "@gatehouse/core";
import type { RequestHead } from "../http1/messages.ts";
import { HttpSession } from "./http-session.ts";
import { addRecord } from "./request-event.ts";
import { recordOf } from "./request-record.ts";
import type { RunEntry } from "./run-table.ts";
import { HEAD_TIMEOUT_MS, LAST_REQUEST_MS, type Swept, type WorkerContext } from "./worker-context.ts";

const TLS_HANDSHAKE = 0x16;
const ESTABLISHED = Buffer.from("HTTP/1.1 200 Connection established\r\n\r\n");

/** What a CONNECT asked for, after it was allowed. */
export interface TunnelRequest {
  readonly entry: RunEntry;
  readonly head: RequestHead;
  /** Bytes that came behind the CONNECT head. */
  readonly rest: Buffer;
}

/** The inside of a CONNECT: its first byte tells TLS, which is intercepted, from cleartext HTTP; the rest is refused. */
export class TunnelOpening implements Swept, Disposable {
  readonly #client: Socket;
  readonly #worker: WorkerContext;
  readonly #entry: RunEntry;
  readonly #host: string;
  readonly #port: number;
  readonly #head: RequestHead;
  readonly #sinceMs: number;
  #leaf: Disposable | undefined;

  constructor(client: Socket, worker: WorkerContext, { entry, head, rest }: TunnelRequest) {
    const authority = parseAuthority(head.target) ?? { host: "", port: 0 };
    this.#client = client;
    this.#worker = worker;
    this.#entry = entry;
    this.#host = authority.host;
    this.#port = authority.port;
    this.#head = head;
    this.#sinceMs = worker.clock.monotonicMs();
    client.on("error", this.#close);
    client.on("close", this.#close);
    worker.swept.add(this);
    entry.connections.add(this);
    client.write(ESTABLISHED);
    if (rest.length > 0) this.#decide(rest);
    else {
      client.once("data", this.#decide);
      client.resume();
    }
  }

  sweep(nowMs: number): void {
    if (nowMs - this.#sinceMs > HEAD_TIMEOUT_MS) this.#close();
  }

  drain(nowMs: number): void {
    if (nowMs - this.#sinceMs > LAST_REQUEST_MS) this.#close();
  }

  [Symbol.dispose](): void {
    this.#close();
  }

  readonly #close = (): void => {
    this.#release();
    this.#client.destroy();
  };

  #release(): void {
    this.#leaf?.[Symbol.dispose]();
    this.#worker.swept.delete(this);
    this.#entry.connections.delete(this);
  }

  readonly #decide = (first: Buffer): void => {
    this.#client.pause();
    this.#client.unshift(first);
    const kind = first[0] ?? 0;
    if (kind === TLS_HANDSHAKE) void this.#intercept();
    else if (kind > 0x20 && kind < 0x7f) this.#serve(this.#client, false);
    else this.#refuse("gate.protocol_unknown");
  };

  async #intercept(): Promise<void> {
    try {
      const leaf = this.#worker.leaves.ask(this.#host, this.#entry.runId);
      this.#leaf = leaf;
      const secureContext = await leaf.found;
      if (this.#client.destroyed) return;
      const stream = new TLSSocket(this.#client, {
        isServer: true,
        secureContext,
        // Clients that speak HTTP/1.0 alone name it; the messages are read the same way.
        ALPNProtocols: ["http/1.1", "http/1.0"],
        // Called only when the client names a host; without one the certificate of the authority stands.
        SNICallback: (name, done) => {
          if (normaliseHost(name) === this.#host) return done(null, secureContext);
          this.#record("gate.destination_mismatch");
          done(new Error("SNI is not the tunnel's host"));
        },
      });
      stream.once("secure", () => this.#checkResumed(stream));
      this.#serve(stream, true);
    } catch {
      this.#refuse("gate.credential_unavailable"); // no leaf: the key-holder is away
    }
  }

  /** A resumed session comes without the callback. */
  #checkResumed(stream: TLSSocket & { readonly servername?: unknown }): void {
    const { servername } = stream;
    if (typeof servername !== "string" || normaliseHost(servername) === this.#host) return;
    this.#record("gate.destination_mismatch");
    stream.destroy();
  }

  #serve(stream: Socket, isTls: boolean): void {
    this.#release();
    this.#client.off("error", this.#close);
    this.#client.off("close", this.#close);
    // The stream hears of its socket's end by itself, but not of its errors.
    if (stream !== this.#client) this.#client.on("error", () => stream.destroy());
    const entry = this.#entry;
    const session = new HttpSession(stream, this.#worker, {
      tunnel: { host: this.#host, port: this.#port, isTls },
      holder: entry.runId,
      identify: () => {
        if (this.#worker.runs.get(entry.runId) === entry) return { entry };
        return { refusal: { code: "gate.run_unknown", detail: "The run has ended." } };
      },
    });
    entry.connections.add(session);
    stream.once("close", () => entry.connections.delete(session));
    stream.resume();
  }

  /** There is no way to say why in a protocol that is not known: the tunnel is cut. */
  #refuse(code: ProblemCode): void {
    this.#record(code);
    this.#close();
  }

  #record(code: ProblemCode): void {
    const { clock } = this.#worker;
    addRecord(
      this.#worker,
      recordOf(
        { time: clock.now(), startedMs: this.#sinceMs },
        {
          nowMs: clock.monotonicMs(),
          status: PROBLEMS[code].http,
          code,
          head: this.#head,
          run: this.#entry.current.snapshot,
          place: { host: this.#host, port: this.#port, isTls: false },
        },
      ),
    );
  }
}
