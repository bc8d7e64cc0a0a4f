import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Measured, startProgram } from "../process.ts";
import type { LoadOrder, LoadResult } from "./load/order.ts";
import { type Bench, makeCertificates, type OpenPeer, type Peer } from "./peers/peer.ts";

const HOST = "localhost";

/** Generator and origin, each a process of its own, for all cases of one run of the benchmark. */
export class Session implements AsyncDisposable {
  readonly bench: Bench;
  readonly #generator: Measured;
  readonly #origin: Measured;
  #peers = 0;

  private constructor(bench: Bench, generator: Measured, origin: Measured) {
    this.bench = bench;
    this.#generator = generator;
    this.#origin = origin;
  }

  static async open(): Promise<Session> {
    const dir = mkdtempSync(join(tmpdir(), "gatehouse-bench-"));
    const certificates = makeCertificates(dir, HOST);
    const { certFile, keyFile } = certificates;
    const origin = await startProgram(new URL("./origin.ts", import.meta.url), [certFile, keyFile]);
    const generator = await startProgram(new URL("./load/main.ts", import.meta.url), []);
    const bench = { dir, host: HOST, originPort: Number(origin.ready.port), ...certificates };
    return new Session(bench, generator, origin);
  }

  /** Starts a peer anew, in a directory of its own. */
  peer<P extends Peer>(open: (bench: Bench, dir: string) => Promise<P>): Promise<P> {
    this.#peers += 1;
    const dir = join(this.bench.dir, `peer-${this.#peers}`);
    mkdirSync(dir, { mode: 0o700 });
    return open(this.bench, dir);
  }

  /** Gives the generator an order and returns what came of it. Fails when a single request did. */
  async ask(order: LoadOrder): Promise<LoadResult> {
    const result = (await this.#message(order)) as LoadResult & { readonly failure?: string };
    if (result.failure !== undefined) throw new Error(`${order.kind}: ${result.failure}`);
    if (result.failures > 0) throw new Error(`${order.kind}: ${result.failures} connections failed`);
    return result;
  }

  /** Orders a tunnel; `open` resolves when it serves, `cut` when it is cut. */
  async untilCut(order: LoadOrder & { readonly kind: "cut" }): Promise<{ readonly cut: Promise<unknown> }> {
    await this.#message(order);
    return { cut: this.#message(undefined) };
  }

  #message(order: LoadOrder | undefined): Promise<unknown> {
    const { child } = this.#generator;
    const answer = new Promise((resolve) => child.once("message", resolve));
    if (order !== undefined) child.send(order);
    return answer;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#generator[Symbol.asyncDispose]();
    await this.#origin[Symbol.asyncDispose]();
    rmSync(this.bench.dir, { recursive: true, force: true });
  }
}

/** Runs the work with a peer that is started for it and ended after it. */
export async function withPeer<P extends Peer, T>(
  session: Session,
  open: (bench: Bench, dir: string) => Promise<P>,
  work: (peer: P) => Promise<T>,
): Promise<T> {
  const peer = await session.peer(open);
  try {
    return await work(peer);
  } finally {
    await peer[Symbol.asyncDispose]();
  }
}

/** Starts several peers that are to be measured in turn; whoever asks ends them. */
export async function openAll(
  session: Session,
  peers: Readonly<Record<string, OpenPeer>>,
): Promise<Readonly<Record<string, Peer>>> {
  const opened: Record<string, Peer> = {};
  for (const [name, open] of Object.entries(peers)) opened[name] = await session.peer(open);
  return opened;
}
