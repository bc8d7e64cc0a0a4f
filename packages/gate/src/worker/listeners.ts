import { randomBytes } from "node:crypto";
import { closeSync } from "node:fs";
import { createServer, type ListenOptions, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { normaliseHost, type RunId } from "@gatehouse/core";
import { native, offerDescriptor } from "@gatehouse/kit";
import { acceptClient } from "./accept-client.ts";
import type { ListenerPlace } from "./identify-run.ts";
import type { WorkerContext } from "./worker-context.ts";

const TAKE_LISTENER = '{"op":"take-listener"}\n';
const TAKE_TIMEOUT_MS = 5_000;
const BACKLOG = 4_096;
/** A sandbox may open a few more than its run may have, so that those are told why. */
const SPARE_SANDBOX_CLIENTS = 256;

/** Connections at one address that containers reach: whoever finds it may open some. */
const MAX_ADDRESS_CLIENTS = 4_096;
/** Of a worker's connections, what is kept for sandboxes: every process of the host may open some on loopback. */
const SANDBOX_SHARE = 0.25;
/** An address may come and go, as a bridge's does. */
const ADDRESS_RETRY_MS = 2_000;

/** What a worker accepts on: the shared port on loopback, addresses beside it, and one listener in each sandbox. */
export class Listeners implements AsyncDisposable {
  readonly #worker: WorkerContext;
  readonly #byRun = new Map<string, Server>();
  readonly #clients = new Set<Socket>();
  readonly #shared = new Set<Server>();
  readonly #offers: AsyncDisposable[] = [];
  readonly #byAddress = new Set<Server>();
  readonly #retries = new Set<NodeJS.Timeout>();
  /** Connections that are open and came from outside every sandbox. */
  #outside = 0;
  #closed = 0;

  constructor(worker: WorkerContext) {
    this.#worker = worker;
  }

  /** Connections that are open. */
  get open(): number {
    return this.#clients.size;
  }

  /** Connections that were open and have closed. */
  get closed(): number {
    return this.#closed;
  }

  /**
   * Opens the shared port on loopback; several workers share it. Takes the descriptors of a predecessor where they are
   * had, so that no connection in their queues is lost. Returns the port.
   */
  async listenShared(port: number, inherits: readonly string[]): Promise<number> {
    for (const path of inherits) await this.#inherit(path);
    if (this.#shared.size > 0) return port;
    const server = this.#server(() => ({ kind: "shared" }));
    await listening(server, { port, host: "127.0.0.1", reusePort: true, backlog: BACKLOG });
    this.#shared.add(server);
    const address = server.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  async #inherit(path: string): Promise<void> {
    try {
      const descriptor = await native.receiveDescriptor(path, TAKE_LISTENER, TAKE_TIMEOUT_MS);
      const server = this.#server(() => ({ kind: "shared" }));
      await listening(server, { fd: descriptor, backlog: BACKLOG });
      this.#shared.add(server);
    } catch (failure) {
      this.#worker.onAddressLost(path, failure);
    }
  }

  /** Offers the shared listener's descriptors to a successor for as long as this worker lives. Returns where. */
  async offer(): Promise<readonly string[]> {
    const paths: string[] = [];
    for (const server of this.#shared) {
      const path = join(this.#worker.config.keepersDir, `${randomBytes(8).toString("hex")}.sock`);
      this.#offers.push(await offerDescriptor(path, server));
      paths.push(path);
    }
    return paths;
  }

  /** Listens at an address beside loopback; while it is not there, tries again. Several workers share it. */
  async listenAt(host: string, port: number): Promise<void> {
    const server = this.#server((client) => ({ kind: "address", peer: normaliseHost(client.remoteAddress ?? "") }));
    server.maxConnections = MAX_ADDRESS_CLIENTS;
    try {
      await listening(server, { port, host, reusePort: true, backlog: BACKLOG });
      this.#byAddress.add(server);
    } catch (failure) {
      this.#worker.onAddressLost(`${host}:${port}`, failure);
      const retry = setTimeout(() => {
        this.#retries.delete(retry);
        void this.listenAt(host, port);
      }, ADDRESS_RETRY_MS);
      this.#retries.add(retry);
    }
  }

  /** Takes the listening descriptor of a run's sandbox from its keeper, and accepts on it. */
  async serveSandbox(runId: RunId, keeper: string): Promise<void> {
    if (this.#byRun.has(runId)) return;
    const socketPath = join(this.#worker.config.keepersDir, `${keeper}.sock`);
    const descriptor = await native.receiveDescriptor(socketPath, TAKE_LISTENER, TAKE_TIMEOUT_MS);
    // Somebody else took it meanwhile, or the run ended: what listens for one that is over would go on for ever.
    if (this.#byRun.has(runId) || this.#worker.runs.get(runId) === undefined) return closeSync(descriptor);
    const server = this.#server(() => ({ kind: "sandbox", runId }));
    server.maxConnections = this.#worker.config.maxConnectionsPerRun + SPARE_SANDBOX_CLIENTS;
    this.#byRun.set(runId, server);
    try {
      await listening(server, { fd: descriptor, backlog: BACKLOG });
    } catch (failure) {
      this.#byRun.delete(runId);
      throw failure;
    }
  }

  /** Stops accepting for a run that has ended. */
  dropSandbox(runId: string): void {
    this.#byRun.get(runId)?.close();
    this.#byRun.delete(runId);
  }

  /** Stops accepting everywhere; connections that are open go on. */
  stopAccepting(): void {
    for (const server of this.#shared) server.close();
    for (const server of this.#byAddress) server.close();
    for (const retry of this.#retries) clearTimeout(retry);
    for (const runId of [...this.#byRun.keys()]) this.dropSandbox(runId);
  }

  #server(placeOf: (client: Socket) => ListenerPlace): Server {
    return createServer((client) => {
      const place = placeOf(client);
      const outside = place.kind === "sandbox" ? 0 : 1;
      if (!this.#hasRoom(outside === 1)) return void client.destroy();
      this.#clients.add(client);
      this.#outside += outside;
      client.once("close", () => {
        this.#clients.delete(client);
        this.#outside -= outside;
        this.#closed += 1;
      });
      acceptClient(client, this.#worker, place);
    });
  }

  #hasRoom(isOutside: boolean): boolean {
    const { maxConnections } = this.#worker.config;
    if (this.#clients.size >= maxConnections) return false;
    return !isOutside || this.#outside < maxConnections * (1 - SANDBOX_SHARE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stopAccepting();
    for (const client of this.#clients) client.destroy();
    for (const offer of this.#offers) await offer[Symbol.asyncDispose]();
  }
}

/** Once it listens, what fails is one accept (no descriptor was free, say): the listener goes on. */
async function listening(server: Server, where: ListenOptions & { readonly fd?: number }): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(where, () => {
      server.off("error", reject);
      server.on("error", () => undefined);
      resolve();
    });
  });
}
