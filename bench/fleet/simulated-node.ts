import { createPrivateKey, generateKeyPairSync, type JsonWebKey, type KeyObject, sign } from "node:crypto";
import { type Client, createClient, type Interceptor } from "@connectrpc/connect";
import { handshakeTuple, Secret, systemRandom } from "@gatehouse/core";
import { type KeySetDocument, openKnownChannel, type ServerChannel, type SigningKey } from "@gatehouse/kit";
import { Heartbeat_Health, NodeGatewayService } from "@gatehouse/wire";
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
}

export function makeSeedKey(): { readonly jwk: JsonWebKey; readonly publicKey: Uint8Array } {
  const { privateKey } = generateKeyPairSync("ed25519");
  const jwk = privateKey.export({ format: "jwk" });
  return { jwk, publicKey: new Uint8Array(Buffer.from(jwk.x ?? "", "base64url")) };
}

/** One node with a TLS connection and keys of its own, speaking the real protocol. */
export class SimulatedNode implements Disposable {
  readonly #seed: NodeSeed;
  readonly #server: ServerSeed;
  readonly #identity: SigningKey;
  #channel: ServerChannel | undefined;
  #gateway: Client<typeof NodeGatewayService> | undefined;

  constructor(seed: NodeSeed, server: ServerSeed) {
    this.#seed = seed;
    this.#server = server;
    const key: KeyObject = createPrivateKey({ format: "jwk", key: seed.jwk });
    const publicKey = new Uint8Array(Buffer.from(seed.jwk.x ?? "", "base64url"));
    this.#identity = { publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) };
  }

  /** Sends a heartbeat in the session. */
  async beat(): Promise<void> {
    const heartbeat = { sentAt: BigInt(Date.now()), health: Heartbeat_Health.OK };
    await this.#gateway?.uploadHeartbeat({ heartbeat });
  }

  /** Opens a connection and a session. */
  async connect(): Promise<void> {
    this[Symbol.dispose]();
    const proofs = new SessionProofs(this.#server.url, { identity: this.#identity });
    const interceptors: Interceptor[] = [proofs.interceptor];
    const serverIdentityKey = new Uint8Array(Buffer.from(this.#server.identityKey, "base64url"));
    const { url: origin, keySet } = this.#server;
    const saveKeySet = () => Promise.reject(new Error("the server of a bench changes no keys"));
    const org = { orgId: "", orgKey: new Uint8Array() };
    const known = { origin, identityKey: serverIdentityKey, ...org, keySet, saveKeySet };
    this.#channel = await openKnownChannel(known, { interceptors });
    this.#gateway = createClient(NodeGatewayService, this.#channel.transport);
    const clientNonce = systemRandom.bytes(32);
    const identityKey = this.#identity.publicKey;
    const { apiKey, nodeId } = this.#seed;
    const begun = await this.#gateway.beginAuthHandshake({ apiKey, identityPublicKey: identityKey, clientNonce });
    const { challenge, serverNonce } = begun;
    const own = { origin, serverIdentityKey, nodeId, identityKey };
    const tuple = handshakeTuple({ ...own, challenge, clientNonce, serverNonce });
    const done = await this.#gateway.completeAuthHandshake({ challenge, signature: this.#identity.sign(tuple) });
    proofs.begin(new Secret(done.sessionToken));
  }

  [Symbol.dispose](): void {
    this.#channel?.[Symbol.dispose]();
    this.#channel = undefined;
  }
}
