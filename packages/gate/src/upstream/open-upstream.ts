import { lookup } from "node:dns/promises";
import { connect as connectTcp, type Socket } from "node:net";
import {
  connect as connectTls,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
} from "node:tls";
import { isIpAddress, mayDial, normaliseHost, Problem } from "@gatehouse/core";

/** Where a request goes, and which addresses beside public ones its policy stated for that place. */
export interface Origin {
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
  readonly statedRanges: readonly string[];
}

/** How the gate reaches the world. */
export interface UpstreamConfig {
  /** Names resolved without asking the system, lower case → address. */
  readonly hosts: Readonly<Record<string, string>>;
  readonly upstreamCaPem: string | undefined;
  readonly connectTimeoutMs: number;
  /** Addresses (`ip:port`) of Gatehouse itself. */
  readonly ownAddresses: () => ReadonlySet<string>;
}

/** Sessions of one run's upstreams, so that a second connection resumes; never shared between runs. */
export type SessionCache = Map<string, Buffer>;

const MAX_SESSIONS = 256;
const MAX_ADDRESSES = 4;

/** Opens connections to origins: resolve once, check each address, dial the address that was checked. */
export class UpstreamDialer {
  readonly #config: UpstreamConfig;
  readonly #secureContext: SecureContext;

  constructor(config: UpstreamConfig) {
    this.#config = config;
    const own = config.upstreamCaPem === undefined ? [] : [config.upstreamCaPem];
    const ca = [...new Set([...getCACertificates("bundled"), ...systemCertificates(), ...own])];
    this.#secureContext = createSecureContext({ ca, minVersion: "TLSv1.2" });
  }

  /**
   * A connected, verified socket. Fails with `gate.address_forbidden`, `gate.upstream_unreachable`,
   * `gate.upstream_untrusted` or `gate.upstream_timeout`. Aborting closes what was half open.
   */
  async open(
    origin: Origin,
    options: { readonly sessions: SessionCache; readonly signal: AbortSignal },
  ): Promise<Socket> {
    const addresses = await this.#resolve(origin);
    let failure: unknown;
    for (const address of addresses.slice(0, MAX_ADDRESSES)) {
      if (options.signal.aborted) break;
      try {
        return await this.#dial(origin, { ...options, address });
      } catch (thrown) {
        failure = thrown;
        if (thrown instanceof Problem && thrown.code !== "gate.upstream_unreachable") throw thrown;
      }
    }
    throw failure ?? new Problem("gate.upstream_unreachable", { detail: `${origin.host} has no address.` });
  }

  async #resolve(origin: Origin): Promise<readonly string[]> {
    const addresses = await this.#lookUp(origin.host);
    const own = this.#config.ownAddresses();
    for (const address of addresses) {
      const verdict = mayDial(address, origin.statedRanges);
      if (!verdict.ok) throw forbidden(origin, `Its address is ${verdict.class.replace("_", "-")}.`);
      if (own.has(`${normaliseHost(address) ?? address}:${origin.port}`))
        throw forbidden(origin, "It is Gatehouse itself.");
    }
    return addresses;
  }

  async #lookUp(host: string): Promise<readonly string[]> {
    if (isIpAddress(host) !== 0) return [host];
    const fixed = Object.hasOwn(this.#config.hosts, host) ? this.#config.hosts[host] : undefined;
    if (fixed !== undefined) return [fixed];
    try {
      return (await lookup(host, { all: true, order: "ipv4first" })).map(({ address }) => address);
    } catch (cause) {
      throw new Problem("gate.upstream_unreachable", { detail: `${host} does not resolve.`, cause });
    }
  }

  #dial(origin: Origin, how: Dial): Promise<Socket> {
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const { host, port, isTls } = origin;
    const key = `${host}:${port}`;
    const session = how.sessions.get(key);
    const socket = isTls
      ? connectTls({
          host: how.address,
          port,
          // SNI carries names alone; an address is verified against the certificate's IP entries.
          servername: isIpAddress(host) === 0 ? host : "",
          secureContext: this.#secureContext,
          ALPNProtocols: ["http/1.1"],
          ...(session === undefined ? {} : { session }),
        })
      : connectTcp({ host: how.address, port });
    const giveUp = (problem: Problem) => {
      socket.destroy();
      reject(problem);
    };
    const deadline = setTimeout(
      () => giveUp(new Problem("gate.upstream_timeout", { detail: `${key} did not accept in time.` })),
      this.#config.connectTimeoutMs,
    );
    const onAbort = () => giveUp(new Problem("gate.upstream_unreachable", { detail: "The client left." }));
    const settle = () => {
      clearTimeout(deadline);
      how.signal.removeEventListener("abort", onAbort);
    };
    how.signal.addEventListener("abort", onAbort, { once: true });
    socket.once("error", (failure: NodeJS.ErrnoException) => {
      settle();
      giveUp(dialProblem(failure, key, isTls && socket.bytesRead > 0));
    });
    socket.once(isTls ? "secureConnect" : "connect", () => {
      settle();
      socket.removeAllListeners("error");
      socket.setNoDelay(true);
      resolve(socket);
    });
    if (isTls) rememberSession(socket as TLSSocket, how.sessions, key);
    return promise;
  }
}

interface Dial {
  readonly address: string;
  readonly sessions: SessionCache;
  readonly signal: AbortSignal;
}

function rememberSession(socket: TLSSocket, sessions: SessionCache, key: string): void {
  socket.on("session", (session: Buffer) => {
    if (sessions.size >= MAX_SESSIONS) sessions.clear();
    sessions.set(key, session);
  });
}

function forbidden({ host, port }: Origin, why: string): Problem {
  return new Problem("gate.address_forbidden", { detail: `${host}:${port} may not be reached. ${why}` });
}

// Node reports certificate failures by these codes; the rest are failures of the network.
const UNTRUSTED = /^(?:CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|ERR_TLS_CERT_|ERR_SSL_|EPROTO$|HOSTNAME_MISMATCH)/;

function dialProblem(failure: NodeJS.ErrnoException, key: string, sawTls: boolean): Problem {
  if (UNTRUSTED.test(failure.code ?? "") || sawTls) {
    return new Problem("gate.upstream_untrusted", {
      detail: `${key}: ${failure.code ?? "TLS failed"}.`,
      cause: failure,
    });
  }
  return new Problem("gate.upstream_unreachable", {
    detail: `${key}: ${failure.code ?? "no connection"}.`,
    cause: failure,
  });
}

function systemCertificates(): readonly string[] {
  try {
    return getCACertificates("system");
  } catch {
    return []; // a host without a system store has the bundled roots
  }
}
