import { connect, type TLSSocket } from "node:tls";
import { Problem } from "@gatehouse/core";
import { systemReason } from "../files/error-code.ts";

const CONNECT_TIMEOUT_MS = 30_000;

/**
 * A TLS connection whose peer nobody has looked at yet: nothing may be sent on it before somebody did. Fails with
 * `server.unreachable`, `server.timeout`, or the signal's reason.
 */
export function openSocket(origin: string, signal?: AbortSignal): Promise<TLSSocket> {
  const { hostname, port } = new URL(origin);
  const host = hostname.replace(/^\[|\]$/g, "");
  return new Promise((resolve, reject) => {
    const socket = connect({ host, port: Number(port || 443), ...serverName(host), ...OPTIONS });
    const settle = (failure?: unknown) => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
      socket.off("error", onError);
      socket.off("secureConnect", onSecure);
      if (failure === undefined) return resolve(socket);
      socket.on("error", () => undefined);
      socket.destroy();
      reject(failure);
    };
    const onSecure = () => settle();
    const onError = (cause: Error) =>
      settle(new Problem("server.unreachable", { detail: `It is ${origin}: ${systemReason(cause)}.`, cause }));
    const onAbort = () => settle(signal?.reason);
    const timer = setTimeout(() => settle(new Problem("server.timeout")), CONNECT_TIMEOUT_MS);
    socket.once("secureConnect", onSecure);
    socket.once("error", onError);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (signal?.aborted) onAbort();
  });
}

/** Whoever calls verifies the peer against keys that it pinned: the system's authorities have no say. */
const OPTIONS = { rejectUnauthorized: false, minVersion: "TLSv1.3", ALPNProtocols: ["h2"] } as const;

/** SNI names hosts alone (RFC 6066 §3). */
function serverName(host: string): { readonly servername?: string } {
  return /^[0-9.]+$|:/.test(host) ? {} : { servername: host };
}
