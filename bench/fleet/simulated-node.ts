import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject, randomUUID, sign } from "node:crypto";
import type { DescMessage, DescMethod, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { handshakeTuple, Secret, systemRandom } from "@gatehouse/core";
import { readManifest, type SigningKey, sha256 } from "@gatehouse/kit";
import {
  Ack_Status,
  type ControlStreamRequestSchema,
  type ControlStreamResponse,
  type FetchBundleResponse,
  Heartbeat_Health,
  NodeGatewayService,
} from "@gatehouse/wire";
import { SessionProofs } from "../../packages/node/src/uplink/session-proofs.ts";
import { type PlainCall, PlainClient, RefusedCall } from "./plain-client.ts";

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

const GATEWAY = NodeGatewayService.method;

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
  #client: PlainClient | undefined;
  #stream: PlainCall<typeof ControlStreamRequestSchema> | undefined;
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
    this.#client = new PlainClient(this.#server.url);
    const { token, expiresAt } = await this.#shakeHands(this.#client);
    proofs.begin(token, expiresAt);
    await this.#hold(this.#client);
  }

  async #shakeHands(client: PlainClient) {
    const serverIdentityKey = new Uint8Array(Buffer.from(this.#server.identityKey, "base64url"));
    const clientNonce = systemRandom.bytes(32);
    const identityKey = this.#identity.publicKey;
    const { apiKey, nodeId } = this.#seed;
    const begin = { apiKey, identityPublicKey: identityKey, clientNonce };
    const { challenge, serverNonce } = await this.#askOne(client, GATEWAY.beginAuthHandshake, begin);
    const own = { origin: this.#server.url, serverIdentityKey, nodeId, identityKey };
    const tuple = handshakeTuple({ ...own, challenge, clientNonce, serverNonce });
    const complete = { challenge, signature: this.#identity.sign(tuple) };
    const done = await this.#askOne(client, GATEWAY.completeAuthHandshake, complete);
    return { token: new Secret(done.sessionToken), expiresAt: Number(done.expiresAt) };
  }

  async #askOne<I extends DescMessage, O extends DescMessage>(
    client: PlainClient,
    method: DescMethod & { readonly input: I; readonly output: O },
    message: MessageInitShape<I>,
  ): Promise<MessageShape<O>> {
    let answer: MessageShape<O> | undefined;
    const onMessage = (one: MessageShape<O>) => {
      answer = one;
    };
    this.#proofs?.useNonce(await client.ask(method, message, { headers: {}, onMessage }));
    if (answer === undefined) throw new Error("a call was answered with nothing");
    return answer;
  }

  async #hold(client: PlainClient): Promise<void> {
    const accepted = this.#next("accepted");
    const onMessage = ({ message }: ControlStreamResponse) => this.#take(message);
    this.#stream = client.open(GATEWAY.controlStream, { headers: this.#prove(GATEWAY.controlStream), onMessage });
    this.#stream.ended.then(
      () => this.#failAll(new Error("the stream ended")),
      (failure: unknown) => this.#failAll(failure),
    );
    this.#send({
      case: "hello",
      value: { protocolVersions: [1], softwareVersion: "bench", bootId: this.#bootId },
    });
    await accepted;
  }

  #prove({ parent, name }: DescMethod): Readonly<Record<string, string>> {
    const made = this.#proofs?.prove(`${this.#server.url}/${parent.typeName}/${name}`);
    return made === undefined ? {} : { authorization: `DPoP ${made.token}`, dpop: made.proof };
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

  /** A nonce that went stale is replaced once, as a daemon does. */
  async #fetch(): Promise<void> {
    try {
      await this.#fetchOnce();
    } catch (failure) {
      if (!(failure instanceof RefusedCall) || failure.problem !== "auth.stale_nonce") throw failure;
      this.#proofs?.useNonce(failure.nonce);
      await this.#fetchOnce();
    }
  }

  async #fetchOnce(): Promise<void> {
    const headers = this.#prove(GATEWAY.fetchBundle);
    const onMessage = ({ item }: FetchBundleResponse, bytes: number) => this.#takeItem(item, bytes);
    this.#proofs?.useNonce(
      (await this.#client?.ask(GATEWAY.fetchBundle, { held: [...this.#held] }, { headers, onMessage })) ?? "",
    );
  }

  #takeItem(item: FetchBundleResponse["item"], bytes: number): void {
    this.#bundleBytes += bytes;
    if (item.case === "manifest") {
      this.#generation = Number(item.value.generation);
      const parts = readManifest(new TextDecoder().decode(item.value.manifest));
      this.#held = parts.map((part) => new Uint8Array(Buffer.from(part.sha256, "base64url")));
    } else if (item.case === "part") sha256(item.value.content);
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
    this.#stream?.send({ message });
  }

  [Symbol.dispose](): void {
    this.#client?.[Symbol.dispose]();
    this.#client = undefined;
  }
}
