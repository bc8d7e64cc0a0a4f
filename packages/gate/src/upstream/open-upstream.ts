import { connect as connectTcp, type Socket } from "node:net";
import {
  connect as connectTls,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { isIpAddress, Problem } from "@gatehouse/core";
import { FairCalls } from "../worker/fair-calls.ts";
import { type ResolveConfig, resolveChecked } from "./resolve-checked.ts";

/** Where a request goes, and which addresses beside public ones its policy stated for that place. */
export interface Origin {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly statedRanges: readonly string[];
}

/** How the gate reaches the world. */
export interface UpstreamConfig extends ResolveConfig {
  readonly upstreamCaPem: string | undefined;
  /** For finding an address, connecting to it and shaking hands, together. */
  readonly connectTimeoutMs: number;
}

/** Sessions of one run's upstreams, so that a second connection resumes; never shared between runs. */
export type SessionCache = Map<string, Buffer>;

/** For whom a connection is opened. */
export interface OpenFor {
  readonly runId: string;
  readonly sessions: SessionCache;
  readonly signal: AbortSignal;
}

const MAX_SESSIONS = 256;
const MAX_ADDRESSES = 4;
/** Names looked up at once. Each takes one of libuv's threads, half of which may be taken by lookups. */
const MAX_LOOKUPS = 8;
/**
 * The environment in which a process that dials is started. What it gains and costs stands in
 * `docs/guide/performance.md`.
 */
export const DIALING_ENVIRONMENT = { UV_THREADPOOL_SIZE: String(2 * MAX_LOOKUPS) } as const;

/** Opens connections to origins: resolve once, check each address, dial the address that was checked. */
export class UpstreamDialer {
  readonly #config: UpstreamConfig;
  readonly #secureContext: SecureContext;
  readonly #lookUps: FairCalls<readonly string[]>;
  #closed = 0;

  constructor(config: UpstreamConfig) {
    this.#config = config;
    this.#lookUps = new FairCalls(config.lookUp, MAX_LOOKUPS);
    const own = config.upstreamCaPem === undefined ? [] : [config.upstreamCaPem];
    const ca = [...new Set([...getCACertificates("bundled"), ...systemCertificates(), ...own])];
    this.#secureContext = createSecureContext({ ca, minVersion: "TLSv1.2" });
  }

  /** Connections that were opened, or half opened, and have closed. */
  get closed(): number {
    return this.#closed;
  }

  /**
   * A connected, verified socket. Fails with `gate.address_forbidden`, `gate.upstream_unreachable`,
   * `gate.upstream_untrusted` or `gate.upstream_timeout`. Aborting closes what was half open.
   */
  async open(origin: Origin, options: OpenFor): Promise<Socket> {
    const endMs = performance.now() + this.#config.connectTimeoutMs;
    const addresses = (await this.#resolve(origin, options)).slice(0, MAX_ADDRESSES);
    let failure: unknown;
    for (const [index, address] of addresses.entries()) {
      if (options.signal.aborted) break;
      // What is left is shared out, so that a silent first address leaves time for the next.
      const timeoutMs = Math.max(1, (endMs - performance.now()) / (addresses.length - index));
      try {
        return await this.#dial(origin, { ...options, address, timeoutMs });
      } catch (thrown) {
        failure = thrown;
        if (!(thrown instanceof Problem) || !MAY_FALL_BACK.has(thrown.code)) throw thrown;
      }
    }
    throw failure ?? new Problem("gate.upstream_unreachable", { detail: `${origin.host} has no address.` });
  }

  async #resolve(origin: Origin, { runId, signal }: OpenFor): Promise<readonly string[]> {
    const { promise, reject } = Promise.withResolvers<never>();
    const onAbort = () => reject(new Problem("gate.upstream_unreachable", { detail: "The client left." }));
    const deadline = setTimeout(
      () => reject(new Problem("gate.upstream_timeout", { detail: `${origin.host} did not resolve in time.` })),
      this.#config.connectTimeoutMs,
    );
    signal.addEventListener("abort", onAbort, { once: true });
    using asked = new DisposableStack();
    const lookUp = (name: string) => asked.use(this.#lookUps.ask(runId, name)).found;
    try {
      return await Promise.race([resolveChecked(origin, { ...this.#config, lookUp }), promise]);
    } finally {
      clearTimeout(deadline);
      signal.removeEventListener("abort", onAbort);
    }
  }

  #dial(origin: Origin, how: Dial): Promise<Socket> {
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const place = `${origin.host}:${origin.port}`;
    const socket = origin.isTls ? this.#connectTls(origin, how) : connectTcp({ host: how.address, port: origin.port });
    const settle = (failure: Problem | undefined) => {
      clearTimeout(deadline);
      how.signal.removeEventListener("abort", onAbort);
      if (failure === undefined) return resolve(socket);
      socket.destroy();
      reject(failure);
    };
    const deadline = setTimeout(
      () => settle(new Problem("gate.upstream_timeout", { detail: `${place} did not accept in time.` })),
      how.timeoutMs,
    );
    const onAbort = () => settle(new Problem("gate.upstream_unreachable", { detail: "The client left." }));
    how.signal.addEventListener("abort", onAbort, { once: true });
    // Stays on: a socket without a listener would end the process with its error.
    socket.on("error", (failure: NodeJS.ErrnoException) => settle(dialProblem(failure, place)));
    socket.once("close", () => {
      this.#closed += 1;
    });
    socket.once(origin.isTls ? "secureConnect" : "connect", () => settle(undefined));
    socket.setNoDelay(true);
    return promise;
  }

  #connectTls({ host, port }: Origin, { address, sessions }: Dial): TLSSocket {
    const key = `${host}:${port}`;
    const session = sessions.get(key);
    const socket = connectTls({
      host: address,
      port,
      // SNI carries names alone; an address is verified against the certificate's IP entries.
      servername: isIpAddress(host) === 0 ? host : "",
      secureContext: this.#secureContext,
      ALPNProtocols: ["http/1.1"],
      rejectUnauthorized: true,
      ...(session === undefined ? {} : { session }),
    });
    socket.on("session", (fresh: Buffer) => {
      if (sessions.size >= MAX_SESSIONS) sessions.clear();
      sessions.set(key, fresh);
    });
    return socket;
  }
}

interface Dial extends OpenFor {
  readonly address: string;
  readonly timeoutMs: number;
}

const MAY_FALL_BACK: ReadonlySet<string> = new Set(["gate.upstream_unreachable", "gate.upstream_timeout"]);

// Errors of the network; what else a handshake fails with is about certificates or TLS itself.
const NETWORK = /^E(?:CONN|HOST|NET|PIPE|TIMEDOUT|ADDR|ACCES|PERM|INVAL|AFNOSUPPORT|MFILE|NFILE|NOBUFS)/;

/** What OpenSSL says of bytes that are no TLS. */
const NO_TLS: ReadonlySet<string> = new Set(["ERR_SSL_WRONG_VERSION_NUMBER", "ERR_SSL_PACKET_LENGTH_TOO_LONG"]);

function dialProblem(failure: NodeJS.ErrnoException, place: string): Problem {
  if (NO_TLS.has(failure.code ?? "")) {
    return new Problem("gate.upstream_protocol", { detail: `${place} does not speak TLS.`, cause: failure });
  }
  const code = NETWORK.test(failure.code ?? "") ? "gate.upstream_unreachable" : "gate.upstream_untrusted";
  return new Problem(code, { detail: `${place}: ${failure.code ?? "no connection"}.`, cause: failure });
}

function systemCertificates(): readonly string[] {
  try {
    return getCACertificates("system");
  } catch {
    return []; // a host without a system store has the bundled roots
  }
}
