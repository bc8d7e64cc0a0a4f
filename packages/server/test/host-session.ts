import { awaitTuple, base64url } from "@gatehouse/core";
import type { KeySetDocument, RosterDocument } from "@gatehouse/kit";
import { flattenedDecrypt } from "jose";
import { type HostUnderTest, hash, signWith } from "./fleet-under-test.ts";

/** What a confirmed host was told when it became a node, and the headers of each call of its session. */
export async function openSession(host: HostUnderTest) {
  const { gateway } = host.org.fleet;
  const told = await confirmedAnswer(host);
  const { answer } = await host.handshake(told.api_key);
  const { sessionToken } = await gateway.completeAuthHandshake(answer);
  const bare = { headers: { Authorization: `DPoP ${sessionToken}` } };
  const nonce = await nonceOf(() => gateway.rotateApiKey({}, bare));
  return { told, headersFor: (method: string) => host.proof(sessionToken, method, nonce) };
}

export async function awaitRequest(host: HostUnderTest) {
  const { enrollmentId } = host.registered;
  const signedAt = host.org.fleet.clock.now();
  const own = { origin: host.org.fleet.server.url, enrollmentId, tupleSha256: hash(host.tuple), signedAt };
  return { enrollmentId, signedAt: BigInt(signedAt), signature: signWith(host.identity, awaitTuple(own)) };
}

export async function openJwe(host: HostUnderTest, jwe: string, aad: Uint8Array): Promise<string> {
  const bound = { ...JSON.parse(jwe), aad: base64url(aad) };
  const { plaintext } = await flattenedDecrypt(bound, host.encryption.privateKey);
  return new TextDecoder().decode(plaintext);
}

export async function openSealed(host: HostUnderTest, jwe: string): Promise<ConfirmedAnswer> {
  return JSON.parse(await openJwe(host, jwe, hash(host.tuple)));
}

/** The API key of a confirmed node, as its host gets it. */
export async function apiKeyOf(host: HostUnderTest): Promise<string> {
  return (await confirmedAnswer(host)).api_key;
}

interface ConfirmedAnswer {
  readonly node_id: string;
  readonly api_key: string;
  readonly key_set: KeySetDocument;
  readonly roster: RosterDocument;
}

async function confirmedAnswer(host: HostUnderTest): Promise<ConfirmedAnswer> {
  for await (const { sealed } of host.org.fleet.gateway.awaitConfirmation(await awaitRequest(host))) {
    if (sealed !== "") return openSealed(host, sealed);
  }
  throw new Error("the node was not confirmed");
}

/** The nonce that a refusal of a node's call carries. */
export async function nonceOf(call: () => Promise<unknown>): Promise<string> {
  const error = await call().then(
    () => undefined,
    (failure: { metadata: Headers }) => failure,
  );
  return error?.metadata.get("dpop-nonce") ?? "";
}
