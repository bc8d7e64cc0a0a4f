import { generateKeyPairSync, randomBytes, randomUUID } from "node:crypto";
import { createClient } from "@connectrpc/connect";
import { enrollmentTuple, formatFingerprint, parseCode, type RosterNode } from "@gatehouse/core";
import { openPinnedChannel, type SigningKey, sha256 } from "@gatehouse/kit";
import { NodeGatewayService } from "@gatehouse/wire";
import { makeSeedKey, signingKeyOf } from "./simulated-node.ts";

/** A host that asks to become a node: a connection that proves the server by the code's pin, and a signed claim. */
export class AskingHost {
  readonly #code: string;
  readonly #url: string;
  readonly #identity: SigningKey;
  readonly #encryptionKey = new Uint8Array(randomBytes(32));
  readonly #caKey: Uint8Array;
  readonly #name = `host-${randomUUID()}`;
  #claimed: { readonly nodeId: string; readonly enrollmentId: string; readonly fingerprint: string } | undefined;

  constructor(code: string, url: string) {
    this.#code = code;
    this.#url = url;
    this.#identity = signingKeyOf(makeSeedKey().jwk);
    const { publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    this.#caKey = new Uint8Array(publicKey.export({ type: "spki", format: "der" }));
  }

  async register(): Promise<void> {
    const { secret, pin } = parseCode("ghe", this.#code);
    const { channel, identity } = await openPinnedChannel(this.#url, pin);
    using _ = channel;
    const keys = { identityKey: this.#identity.publicKey, encryptionKey: this.#encryptionKey, caKey: this.#caKey };
    const server = { serverIdentityKey: identity.identityKey, orgId: identity.orgId, orgKey: identity.orgKey };
    const tuple = enrollmentTuple({ ...keys, ...server, codeSha256: sha256(secret), name: this.#name });
    const { nodeId, enrollmentId } = await createClient(NodeGatewayService, channel.transport).register({
      enrollmentToken: this.#code,
      name: this.#name,
      identityPublicKey: keys.identityKey,
      encryptionPublicKey: keys.encryptionKey,
      caPublicKey: keys.caKey,
      proof: this.#identity.sign(tuple),
    });
    this.#claimed = { nodeId, enrollmentId, fingerprint: formatFingerprint(sha256(tuple)) };
  }

  /** What an operator confirms, and puts on the roster. */
  get claimed() {
    if (this.#claimed === undefined) throw new Error("the host did not register");
    const { nodeId } = this.#claimed;
    const keys = { identityKey: this.#identity.publicKey, encryptionKey: this.#encryptionKey, caKey: this.#caKey };
    const listed: RosterNode = { nodeId, ...keys };
    return { ...this.#claimed, listed };
  }
}
