import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject, randomUUID, sign } from "node:crypto";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { type Client, createClient } from "@connectrpc/connect";
import { handshakeTuple, MessageQueue, Secret, systemRandom } from "@gatehouse/core";
import {
  type KeySetDocument,
  openKnownChannel,
  readManifest,
  type ServerChannel,
  type SigningKey,
  sha256,
} from "@gatehouse/kit";
import {
  Ack_Status,
  type ControlStreamRequest,
  ControlStreamRequestSchema,
  type ControlStreamResponse,
  FetchBundleResponseSchema,
  Heartbeat_Health,
  NodeGatewayService,
} from "@gatehouse/wire";
import { SessionProofs } from "../../packages/node/src/uplink/session-proofs.ts";

/** What a simulated node knows; the JWK is its Ed25519 pair. */
export interface NodeSeed {
  readonly nodeId: string;
  readonly apiKey: string;
  readonly jwk: JsonWebKey;
}

/** The server as every simulated node knows it. */
export interface ServerSeed {
  readonly url: string;
  readonly identityKey: string;
  readonly keySet: KeySetDocument;
  /** Of the roster that every node has already. base64url. */
  readonly rosterSha256: string;
}

export function makeSeedKey(): { readonly jwk: JsonWebKey; readonly publicKey: Uint8Array } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const jwk = privateKey.export({ format: "jwk" });
  return { jwk, publicKey: new Uint8Array(Buffer.from(jwk.x ?? "", "base64url")) };
}

export function signingKeyOf(jwk: JsonWebKey): SigningKey {
  const key: KeyObject = createPrivateKey({ format: "jwk", key: jwk });
  const publicKey = new Uint8Array(Buffer.from(jwk.x ?? "", "base64url"));
  return { publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) };
}

type Outgoing = NonNullable<MessageInitShape<typeof ControlStreamRequestSchema>["message"]>;

const MAX_WAITING = 64;

/**
 * One node with a TLS connection and keys of its own, speaking the real protocol on an open control stream. What a
 * daemon does on its own machine (journal, key-holder, checks of signatures) costs it nothing: the server is measured.
 */
export class SimulatedNode implements Disposable {
  readonly #seed: NodeSeed;
  readonly #server: ServerSeed;
  readonly #identity: SigningKey;
  readonly #bootId = randomUUID();
  #proofs: SessionProofs | undefined;
  #channel: ServerChannel | undefined;
  #gateway: Client<typeof NodeGatewayService> | undefined;
  #outgoing = new MessageQueue<ControlStreamRequest>(MAX_WAITING);
  #held: readonly Uint8Array[];
  #wanted = 0;
  #isFetching = false;
  /** Whoever waits for the next answer of a kind. */
  readonly #expected = new Map<string, (why?: unknown) => void>();
  #generation = 0;
  #bundleBytes = 0;
  #revocations = 0;

  constructor(seed: NodeSeed, server: ServerSeed) {
    this.#seed = seed;
    this.#server = server;
    this.#held = [new Uint8Array(Buffer.from(server.rosterSha256, "base64url"))];
    this.#identity = signingKeyOf(seed.jwk);
  }

  /** Of the bundle that was applied last. */
  get generation(): number {
    return this.#generation;
  }

  /** That it was told of. */
  get revocations(): number {
    return this.#revocations;
  }

  /** Bytes of bundles that came since the last call. */
  takeBundleBytes(): number {
    const bytes = this.#bundleBytes;
    this.#bundleBytes = 0;
    return bytes;
  }

  /** Sends a heartbeat on the stream; returns when it was answered. */
  async beat(): Promise<void> {
    const answered = this.#next("heartbeatAnswer");
    const bundleGeneration = BigInt(this.#generation);
    this.#send({
      case: "heartbeat",
      value: { sentAt: BigInt(Date.now()), health: Heartbeat_Health.OK, bundleGeneration },
    });
    await answered;
  }

  /** Opens a connection, a session and the control stream; returns when the server greeted. */
  async connect(): Promise<void> {
    this[Symbol.dispose]();
    const proofs = new SessionProofs(this.#server.url, { identity: this.#identity });
    this.#proofs = proofs;
    const serverIdentityKey = new Uint8Array(Buffer.from(this.#server.identityKey, "base64url"));
    const { url: origin, keySet } = this.#server;
    const saveKeySet = () => Promise.reject(new Error("the server of a bench changes no keys"));
    const org = { orgId: "", orgKey: new Uint8Array() };
    const known = { origin, identityKey: serverIdentityKey, ...org, keySet, saveKeySet };
    this.#channel = await openKnownChannel(known, { interceptors: [proofs.interceptor] });
    this.#gateway = createClient(NodeGatewayService, this.#channel.transport);
    const { token, expiresAt } = await this.#shakeHands(this.#gateway, serverIdentityKey);
    proofs.begin(token, expiresAt);
    await this.#hold(this.#gateway);
  }

  async #shakeHands(gateway: Client<typeof NodeGatewayService>, serverIdentityKey: Uint8Array) {
    const clientNonce = systemRandom.bytes(32);
    const identityKey = this.#identity.publicKey;
    const { apiKey, nodeId } = this.#seed;
    const begun = await gateway.beginAuthHandshake({ apiKey, identityPublicKey: identityKey, clientNonce });
    const { challenge, serverNonce } = begun;
    const own = { origin: this.#server.url, serverIdentityKey, nodeId, identityKey };
    const tuple = handshakeTuple({ ...own, challenge, clientNonce, serverNonce });
    const done = await gateway.completeAuthHandshake({ challenge, signature: this.#identity.sign(tuple) });
    return { token: new Secret(done.sessionToken), expiresAt: Number(done.expiresAt) };
  }

  async #hold(gateway: Client<typeof NodeGatewayService>): Promise<void> {
    const accepted = this.#next("accepted");
    this.#outgoing = new MessageQueue(MAX_WAITING);
    this.#send({
      case: "hello",
      value: { protocolVersions: [1], softwareVersion: "bench", bootId: this.#bootId },
    });
    void this.#read(gateway.controlStream(this.#outgoing, { timeoutMs: 0 }));
    await accepted;
  }

  async #read(messages: AsyncIterable<ControlStreamResponse>): Promise<void> {
    try {
      for await (const { message } of messages) this.#take(message);
      this.#failAll(new Error("the stream ended"));
    } catch (failure) {
      this.#failAll(failure);
    }
  }

  #take(message: ControlStreamResponse["message"]): void {
    if (message.case === "command") {
      const { commandId } = message.value.header ?? { commandId: "" };
      this.#send({ case: "ack", value: { commandId, status: Ack_Status.OK } });
    } else if (message.case === "revocation") this.#revocations += 1;
    else if (message.case === "accepted") this.#proofs?.useNonce(message.value.dpopNonce);
    else if (message.case === "bundleChanged") void this.#follow(Number(message.value.generation));
    this.#expected.get(message.case ?? "")?.();
    this.#expected.delete(message.case ?? "");
  }

  async #follow(generation: number): Promise<void> {
    this.#wanted = Math.max(this.#wanted, generation);
    if (this.#isFetching) return;
    this.#isFetching = true;
    while (this.#wanted > this.#generation) await this.#fetch();
    this.#isFetching = false;
  }

  async #fetch(): Promise<void> {
    for await (const answer of this.#gateway?.fetchBundle({ held: [...this.#held] }) ?? []) {
      this.#bundleBytes += toBinary(FetchBundleResponseSchema, answer).length;
      const { item } = answer;
      if (item.case === "manifest") {
        this.#generation = Number(item.value.generation);
        const parts = readManifest(new TextDecoder().decode(item.value.manifest));
        this.#held = parts.map((part) => new Uint8Array(Buffer.from(part.sha256, "base64url")));
      } else if (item.case === "part") sha256(item.value.content);
    }
  }

  #next(kind: string): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#expected.set(kind, (why) => (why === undefined ? resolve() : reject(why)));
    });
  }

  #failAll(failure: unknown): void {
    for (const settle of this.#expected.values()) settle(failure);
    this.#expected.clear();
  }

  #send(message: Outgoing): void {
    this.#outgoing.push(create(ControlStreamRequestSchema, { message }));
  }

  [Symbol.dispose](): void {
    this.#outgoing.end();
    this.#channel?.[Symbol.dispose]();
    this.#channel = undefined;
  }
}
