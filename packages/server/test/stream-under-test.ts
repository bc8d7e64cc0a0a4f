import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type Transport } from "@connectrpc/connect";
import { MessageQueue } from "@gatehouse/core";
import {
  type ControlStreamRequest,
  ControlStreamRequestSchema,
  type ControlStreamResponse,
  NodeGatewayService,
} from "@gatehouse/wire";
import type { HostUnderTest } from "./fleet-under-test.ts";
import { apiKeyOf, nonceOf } from "./host-session.ts";

type Sent = NonNullable<MessageInitShape<typeof ControlStreamRequestSchema>["message"]>;
type Received = ControlStreamResponse["message"];
type Case = NonNullable<Received["case"]>;
export type MessageOf<C extends Case> = Extract<Received, { case: C }>["value"];

/** A session of a node. */
export class SessionUnderTest {
  readonly host: HostUnderTest;
  token: string;
  nonce: string;

  private constructor(host: HostUnderTest, token: string, nonce: string) {
    this.host = host;
    this.token = token;
    this.nonce = nonce;
  }

  static async open(host: HostUnderTest, apiKey?: string): Promise<SessionUnderTest> {
    const { gateway } = host.org.fleet;
    const { answer } = await host.handshake(apiKey ?? (await apiKeyOf(host)));
    const { sessionToken } = await gateway.completeAuthHandshake(answer);
    const headers = { Authorization: `DPoP ${sessionToken}` };
    const heartbeat = { sentAt: 1n, health: 1 };
    return new SessionUnderTest(
      host,
      sessionToken,
      await nonceOf(() => gateway.uploadHeartbeat({ heartbeat }, { headers })),
    );
  }

  proofOf(method: string) {
    return this.host.proof(this.token, method, this.nonce);
  }
}

export interface StreamOptions {
  /** Default: a Hello of a new boot. `undefined`: nothing is said. */
  readonly hello?: Sent | undefined;
  readonly transport?: Transport;
}

/** A Hello of a daemon that accepted no command yet. */
export function helloOf(bootId: string = randomUUID(), more: object = {}): Sent {
  return { case: "hello", value: { protocolVersions: [1], softwareVersion: "test", bootId, ...more } };
}

/** A control stream as a node holds it. */
export class StreamUnderTest implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly ended: Promise<unknown>;
  readonly #outgoing = new MessageQueue<ControlStreamRequest>(1_000);
  readonly #arrivals = new Set<() => void>();
  readonly #abort = new AbortController();
  #at = 0;

  private constructor(session: SessionUnderTest, headers: { headers: Record<string, string> }, transport?: Transport) {
    const { fleet } = session.host.org;
    const client = createClient(NodeGatewayService, transport ?? fleet.transport);
    const answers = client.controlStream(this.#outgoing, { ...headers, signal: this.#abort.signal, timeoutMs: 0 });
    this.ended = this.#read(answers).then(
      () => undefined,
      (failure: unknown) => failure,
    );
  }

  static async open(session: SessionUnderTest, options: StreamOptions = {}): Promise<StreamUnderTest> {
    const stream = new StreamUnderTest(session, await session.proofOf("ControlStream"), options.transport);
    const hello = "hello" in options ? options.hello : helloOf();
    if (hello !== undefined) stream.send(hello);
    return stream;
  }

  send(message: Sent): void {
    this.#outgoing.push(create(ControlStreamRequestSchema, { message }));
  }

  /** The next message of a kind, now or later; others between are skipped. Fails when the stream ends first. */
  async next<C extends Case>(kind: C): Promise<MessageOf<C>> {
    for (;;) {
      const message = await this.nth(this.#at, kind);
      this.#at += 1;
      if (message.case === kind) return message.value as MessageOf<C>;
    }
  }

  /** The message at a place, counted from 0, now or later. Fails when the stream ends first. */
  async nth(at: number, waitedFor = `message ${at}`): Promise<Received> {
    for (;;) {
      const message = this.received[at];
      if (message !== undefined) return message;
      const arrival = new Promise<void>((resolve) => void this.#arrivals.add(resolve));
      const isOver = await Promise.race([arrival.then(() => false), this.ended.then(() => true)]);
      if (isOver && at >= this.received.length)
        throw (await this.ended) ?? new Error(`the stream ended without ${waitedFor}`);
    }
  }

  count(kind: Case): number {
    return this.received.filter((message) => message.case === kind).length;
  }

  async #read(answers: AsyncIterable<ControlStreamResponse>): Promise<void> {
    for await (const { message } of answers) {
      this.received.push(message);
      for (const arrive of this.#arrivals) arrive();
      this.#arrivals.clear();
    }
  }

  /** As when the node's connection breaks. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#abort.abort();
    await this.ended;
  }
}
