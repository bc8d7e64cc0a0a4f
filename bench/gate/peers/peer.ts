import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import type { Measured } from "../../process.ts";
import type { Way } from "../load/order.ts";

/** Something that stands between generator and origin. */
export interface Peer extends AsyncDisposable {
  readonly name: string;
  readonly way: Way;
  readonly process: Measured | undefined;
}

/** What every peer is told of the world. */
export interface Bench {
  /** A directory of the bench's own. */
  readonly dir: string;
  readonly host: string;
  readonly originPort: number;
  /** Certificate of the origin, signed by the bench's own authority; nginx shows it too. */
  readonly certFile: string;
  readonly keyFile: string;
  /** The bench's own authority, with which peers intercept. */
  readonly caFile: string;
  readonly caKeyFile: string;
}

export type OpenPeer = (bench: Bench, dir: string) => Promise<Peer>;

/** A peer that is a proxy on a port, signing with the bench's authority. */
export function asProxy(bench: Bench, name: string, process: Measured, port: number): Peer {
  const { originPort, host, caFile } = bench;
  return {
    name,
    way: { proxyPort: port, proxyTokens: ["x"], originPort, host, caFile },
    process,
    [Symbol.asyncDispose]: () => process[Symbol.asyncDispose](),
  };
}

/** A port that was free a moment ago, for programs that cannot say which one they took. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** Resolves when something accepts on the port. Fails after ten seconds. */
export async function untilListening(port: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (performance.now() < deadline) {
    const isOpen = await new Promise<boolean>((resolve) => {
      const socket = connect(port, "127.0.0.1", () => {
        socket.destroy();
        resolve(true);
      });
      socket.on("error", () => resolve(false));
    });
    if (isOpen) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nothing listens on port ${port}`);
}

/** Below it lie the names of many hosts, which are all the origin. */
export const MANY_HOSTS = "bench.test";

/** An authority, and a certificate by it for the origin under all its names. */
export function makeCertificates(dir: string, host: string): Omit<Bench, "dir" | "host" | "originPort"> {
  const file = (name: string) => join(dir, name);
  const openssl = (...args: string[]) => execFileSync("openssl", args, { stdio: "ignore" });
  const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...ec, "-days", "2", "-keyout", file("ca.key"), "-out", file("ca.pem"), "-subj", "/CN=bench");
  openssl("req", ...ec, "-keyout", file("origin.key"), "-out", file("origin.csr"), "-subj", `/CN=${host}`);
  writeFileSync(file("ext"), `subjectAltName=DNS:${host},DNS:*.${MANY_HOSTS}\n`);
  const signing = ["-CA", file("ca.pem"), "-CAkey", file("ca.key"), "-CAcreateserial", "-extfile", file("ext")];
  openssl("x509", "-req", "-in", file("origin.csr"), ...signing, "-days", "2", "-out", file("origin.pem"));
  return {
    certFile: file("origin.pem"),
    keyFile: file("origin.key"),
    caFile: file("ca.pem"),
    caKeyFile: file("ca.key"),
  };
}
