import { base64url, fromBase64url, PIN_BYTES, Problem, type WellKnown, wellKnownTuple } from "@gatehouse/core";
import { setupPin, sha256 } from "@gatehouse/kit";
import type { ServerKeys } from "../keys/server-keys.ts";
import type { OrgRecords } from "./org-records.ts";

export interface WellKnownDeps {
  readonly store: {
    findOrg(kind: "pin", sha256: Uint8Array): Promise<string | undefined>;
    inOrg<T>(orgId: string, work: (tx: { readonly org: OrgRecords }) => Promise<T>): Promise<T>;
  };
  readonly keys: ServerKeys;
  readonly origin: string;
  readonly now: () => number;
  /** SHA-256 of the SPKI of the TLS leaf that serves the connection. */
  readonly tlsSpkiSha256: Uint8Array;
}

const NONCE = /^[A-Za-z0-9_-]{16,128}$/;

/**
 * What a host needs to trust this server by a code's pin: identity key, key set and org key, bound to origin, nonce
 * and the TLS key of the connection. Fails with `org.not_found` for a pin that is nobody's, `api.malformed`.
 */
export async function answerWellKnown(query: URLSearchParams, deps: WellKnownDeps): Promise<object> {
  const nonce = query.get("nonce") ?? "";
  const pin = fromBase64url(query.get("pin") ?? "");
  if (!NONCE.test(nonce) || pin?.length !== PIN_BYTES) {
    throw new Problem("api.malformed", { detail: "nonce and pin are needed, base64url without padding." });
  }
  const org = await findOrg(pin, deps);
  const { keys, origin, tlsSpkiSha256 } = deps;
  const serverIdentityKey = keys.identityKey;
  const known: WellKnown = { origin, nonce, serverTime: deps.now(), ...org, serverIdentityKey, tlsSpkiSha256 };
  return {
    version: 1,
    origin,
    nonce,
    server_time: known.serverTime,
    org_id: known.orgId,
    server_identity_key: base64url(serverIdentityKey),
    org_key: base64url(known.orgKey),
    tls_spki_sha256: base64url(tlsSpkiSha256),
    key_set: keys.keySet,
    signature: base64url(keys.working.channel.key.sign(wellKnownTuple(known))),
  };
}

async function findOrg(pin: Uint8Array, { store, keys }: WellKnownDeps): Promise<Pick<WellKnown, "orgId" | "orgKey">> {
  if (Buffer.compare(pin, setupPin(keys.identityKey)) === 0) return { orgId: "", orgKey: new Uint8Array() };
  const orgId = await store.findOrg("pin", sha256(pin));
  if (orgId === undefined) throw new Problem("org.not_found");
  const { orgKey } = await store.inOrg(orgId, (tx) => tx.org.get());
  return { orgId, orgKey };
}
