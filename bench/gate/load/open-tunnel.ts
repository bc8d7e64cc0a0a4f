import { readFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, createSecureContext, type SecureContext, type TLSSocket } from "node:tls";
import type { Way } from "./order.ts";

const contexts = new Map<string, SecureContext>();
let opened = 0;

/** A TLS connection to the way's host, or to a name below it, through the way's proxy. No session is resumed. */
export async function openTunnel(way: Way, subdomain = ""): Promise<TLSSocket> {
  const host = `${subdomain}${way.host}`;
  const raw = way.proxyPort === 0 ? undefined : await openConnect(way, host);
  return new Promise((resolve, reject) => {
    const options = raw ? { socket: raw } : { host: "127.0.0.1", port: way.originPort };
    const socket = connectTls({ ...options, servername: host, secureContext: contextOf(way.caFile) }, () => {
      socket.setNoDelay(true);
      resolve(socket);
    });
    socket.on("error", reject);
  });
}

function contextOf(caFile: string): SecureContext {
  const ca = readFileSync(caFile, "latin1");
  const known = contexts.get(ca);
  if (known !== undefined) return known;
  const context = createSecureContext({ ca });
  contexts.set(ca, context);
  return context;
}

function openConnect({ proxyPort, proxyTokens, originPort }: Way, host: string): Promise<Socket> {
  const token = proxyTokens[opened % proxyTokens.length] ?? "";
  opened += 1;
  return new Promise((resolve, reject) => {
    const socket = connectTcp(proxyPort, "127.0.0.1");
    const credentials = Buffer.from(`run:${token}`).toString("base64");
    const place = `${host}:${originPort}`;
    socket.setNoDelay(true);
    socket.on("error", reject);
    socket.write(`CONNECT ${place} HTTP/1.1\r\nHost: ${place}\r\nProxy-Authorization: Basic ${credentials}\r\n\r\n`);
    let answer = "";
    const onData = (chunk: Buffer) => {
      answer += chunk.toString("latin1");
      // Some proxies send their answer in pieces; what follows it is the tunnel's.
      if (!answer.includes("\r\n\r\n")) return;
      socket.off("data", onData);
      if (/^HTTP\/1\.[01] 200/.test(answer)) resolve(socket);
      else reject(new Error(`CONNECT refused: ${answer.split("\r\n")[0]}`));
    };
    socket.on("data", onData);
  });
}
