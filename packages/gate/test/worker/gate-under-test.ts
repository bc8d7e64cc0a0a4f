import { randomBytes } from "node:crypto";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { type NetworkPolicyInput, parseRunId, systemClock } from "@gatehouse/core";
import { createCa, mintServerLeaf } from "@gatehouse/kit";
import { createTestAuthority, type TestAuthority } from "@gatehouse/testbed";
import type { WorkerTotals } from "../../src/metrics/worker-totals.ts";
import type { Injection, RunSnapshot } from "../../src/snapshot/run-snapshot.ts";
import type { RequestRecord, WorkerConfig } from "../../src/snapshot/worker-protocol.ts";
import { systemLookUp } from "../../src/upstream/resolve-checked.ts";
import { hashToken } from "../../src/worker/identify-run.ts";
import { openWorker, type Worker, type WorkerDeps } from "../../src/worker/open-worker.ts";
import { ByteStream, type Message, readMessage } from "./byte-stream.ts";

/** A worker in this process, with a real port, real TLS and an outside world of its own. */
export interface GateUnderTest extends AsyncDisposable {
  readonly port: number;
  readonly worker: Worker;
  readonly records: readonly RequestRecord[];
  /** What it handed over for the audit log, parsed. */
  readonly audit: readonly Readonly<Record<string, unknown>>[];
  /** What the worker said that it had counted, newest last. */
  readonly totals: readonly WorkerTotals[];
  /** Names that the worker asked leaves for. */
  readonly minted: readonly string[];
  /** What was thrown that should not have been. */
  readonly faults: readonly unknown[];
  readonly interceptionCa: string;
  /** Adds or replaces a run; what is not stated is empty. Returns its token. */
  put(run?: Partial<RunSnapshot>): Promise<string>;
  drop(runId: string): Promise<void>;
  /** A connection to the shared listener, or to another address of the gate. */
  dial(how?: { readonly host: string; readonly localAddress: string }): Promise<ProxyClient>;
  /** An open tunnel to the authority, TLS inside unless `cleartext`. */
  tunnel(authority: string, options?: { readonly cleartext?: boolean; readonly token?: string }): Promise<ProxyClient>;
}

export interface GateOptions {
  readonly config?: Partial<WorkerConfig>;
  readonly deps?: Partial<WorkerDeps>;
}

/** The outside world's authority is costly to make and holds no state: one for all tests of a file. */
export const outside: TestAuthority = await createTestAuthority();
const interception = await createCa({ commonName: "Gatehouse interception", days: 2, pathLength: 0 });

/** Tokens are made up by the tests: one per run id, so that a replaced run keeps its own. */
const TOKEN = randomBytes(32).toString("hex");

export function snapshot(run: Partial<RunSnapshot> = {}): RunSnapshot {
  return {
    runId: parseRunId("run-1"),
    agent: "agent",
    project: "project",
    tokenHash: hashToken(TOKEN),
    place: { kind: "shared" },
    isExternal: true,
    containerAddresses: undefined,
    policy: { mode: "strict" },
    injections: [],
    slots: [],
    transformers: [],
    mcpServers: [],
    extraHeaders: [],
    removeHeaders: [],
    placeholders: [],
    scrub: [],
    scrubHosts: [],
    ...run,
  };
}

/** The records in what a worker hands over. */
export function readLines(lines: Uint8Array): RequestRecord[] {
  const text = Buffer.from(lines).toString();
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as RequestRecord]));
}

/** A policy that allows `*.test` on loopback ports, as services of one's own are allowed. */
export function allowing(...hosts: readonly string[]): NetworkPolicyInput {
  return { mode: "strict", rules: [{ action: "allow", hosts, cidr: ["127.0.0.0/8"] }] };
}

export function injection(host: string, value: string, more: Partial<Injection> = {}): Injection {
  return {
    grant: "api",
    credential: undefined,
    host,
    methods: undefined,
    paths: undefined,
    header: "authorization",
    value,
    allowCleartext: false,
    ...more,
  };
}

const LEAF_TTL_MS = 24 * 3_600_000;
const TICKET_KEYS = Buffer.alloc(48, "t");

/** Every name of the world outside is a service on loopback. */
const HOSTS = { "api.test": "127.0.0.1", "other.test": "127.0.0.1", "sub.api.test": "127.0.0.1" };

export async function openGate({ config = {}, deps = {} }: GateOptions = {}): Promise<GateUnderTest> {
  const records: RequestRecord[] = [];
  const audit: Record<string, unknown>[] = [];
  const minted: string[] = [];
  const faults: unknown[] = [];
  const totals: WorkerTotals[] = [];
  const worker = await openWorker(
    {
      generation: 1,
      runs: [],
      freshUntilSeconds: 0,
      audit: { node: "node-1", isTaken: true },
      inherits: [],
      config: {
        port: 0,
        listen: [],
        keepersDir: "/nonexistent",
        hosts: HOSTS,
        upstreamCaPem: outside.certificatePem,
        caCertificatePem: interception.certificatePem,
        connectTimeoutMs: 5_000,
        upstreamTimeoutMs: 10_000,
        idleTimeoutMs: 60_000,
        maxConnections: 1_000,
        maxConnectionsPerRun: 500,
        maxRecodingBytes: 100_000_000,
        maxHeadBytes: 1_048_576,
        ownAddresses: [],
        ...config,
      },
    },
    {
      clock: systemClock,
      lookUp: systemLookUp,
      mintLeaf: async ({ name, publicKey }) => {
        minted.push(name);
        const certificatePem = await mintServerLeaf({ ca: interception, name, publicKey, ttlMs: LEAF_TTL_MS });
        const notAfter = Date.now() + LEAF_TTL_MS;
        return { certificatePem, notAfter, ticketKeys: TICKET_KEYS, ticketsUntil: notAfter };
      },
      sendRecords: (lines) => {
        records.push(...readLines(lines));
        return true;
      },
      onAddressLost: (_address, failure) => faults.push(failure),
      onNoDescriptorFree: (connections) => faults.push(`no descriptor is free beside ${connections} connections`),
      sendAudit: async (lines) => void audit.push(...readAuditLines(lines)),
      sendTotals: (sent) => totals.push(sent),
      onFault: (thrown) => faults.push(thrown),
      ...deps,
    },
  );
  const clients = new Set<ProxyClient>();
  const dial: GateUnderTest["dial"] = async (how) => {
    const socket = connect({ port: worker.port, host: "127.0.0.1", ...how });
    const client = new ProxyClient(new ByteStream(socket));
    clients.add(client);
    await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return client;
  };
  return {
    port: worker.port,
    worker,
    records,
    audit,
    totals,
    minted,
    faults,
    interceptionCa: interception.certificatePem,
    put: async (run) => {
      await worker.handle("putRun", { generation: 2, run: snapshot(run) });
      return TOKEN;
    },
    drop: async (runId) => void (await worker.handle("dropRun", { generation: 3, runId: parseRunId(runId) })),
    dial,
    tunnel: async (authority, { cleartext = false, token = TOKEN } = {}) => {
      const client = await dial();
      const { status, body } = await client.connect(authority, token);
      if (status !== 200) throw new Error(`CONNECT was refused: ${status} ${body}`);
      if (!cleartext) await client.startTls(authority.slice(0, authority.lastIndexOf(":")));
      return client;
    },
    [Symbol.asyncDispose]: async () => {
      for (const client of clients) client.stream.socket.destroy();
      await worker[Symbol.asyncDispose]();
    },
  };
}

/** Entries as a worker hands them over, numbered as the key-holder would. */
export function readAuditLines(lines: string): readonly Record<string, unknown>[] {
  const texts = lines.trimEnd().split("\n");
  return texts.flatMap((before, at) => (at % 2 === 0 ? [JSON.parse(`${before}0${texts[at + 1]}`)] : []));
}

/** A client of the proxy that sends what a test wants, right or wrong. */
export class ProxyClient {
  stream: ByteStream;

  constructor(stream: ByteStream) {
    this.stream = stream;
  }

  get isClosed(): boolean {
    return this.stream.isClosed;
  }

  send(text: string | Buffer): void {
    this.stream.write(text);
  }

  /** Reads one response. */
  receive(options: { readonly hasBody?: boolean } = {}): Promise<Message> {
    return readMessage(this.stream, options);
  }

  /** Sends one request, whose lines are given, and reads its response. */
  async ask(lines: readonly string[], body: string = ""): Promise<Message> {
    this.send(`${lines.join("\r\n")}\r\n\r\n${body}`);
    return this.receive({ hasBody: !lines[0]?.startsWith("HEAD ") });
  }

  async connect(authority: string, token: string | undefined): Promise<Message> {
    const auth = token === undefined ? [] : [`Proxy-Authorization: Basic ${btoa(`run:${token}`)}`];
    this.send([`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`, ...auth, "", ""].join("\r\n"));
    const head = await readMessage(this.stream, { hasBody: false });
    if (head.status === 200) return head;
    const body = (await this.stream.readBytes(Number(head.header("content-length")))).toString();
    return { ...head, body };
  }

  /** Starts TLS inside the tunnel. Fails when the gate refuses the handshake. */
  async startTls(servername: string | undefined): Promise<void> {
    const socket = connectTls({
      socket: this.stream.release(),
      ca: interception.certificatePem,
      ALPNProtocols: ["http/1.1"],
      ...(servername === undefined ? { checkServerIdentity: () => undefined } : { servername }),
    });
    const stream = new ByteStream(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once("secureConnect", resolve);
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed during the handshake")));
    });
    this.stream = stream;
  }
}
