import type { Http2ServerRequest } from "node:http2";
import { fromBase64url, PIN_BYTES, Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { networkOf } from "../limits/network-of.ts";
import { beginDeviceGrant, redeemDeviceGrant } from "../people/device-grants.ts";
import { readForm } from "./browser-request.ts";
import { type PeopleContext, peerOf, type WebAnswer, type WebRoutes } from "./web-answer.ts";

/** The one client. */
const CLIENT_ID = "gatehouse-cli";
const GRANT_TYPE = "urn:ietf:params:oauth:grant-type:device_code";
const DEVICE_CODE = /^[A-Za-z0-9_-]{43}$/;
const MACHINE = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** The device grant as the command line speaks it (RFC 8628). Beside the RFC's fields: the organisation's pin. */
export function tokenRoutes(context: PeopleContext): WebRoutes {
  return {
    "POST /oauth/device_authorization": (request) => asOauth(() => authorizeDevice(context, request)),
    "POST /oauth/token": (request) => asOauth(() => issueToken(context, request)),
  };
}

async function authorizeDevice(context: PeopleContext, request: Http2ServerRequest): Promise<WebAnswer> {
  const { store, keys, random, origin, budget } = context;
  const peer = `address:${networkOf(peerOf(request))}`;
  budget.check(peer);
  const form = await readForm(request);
  if (form.get("client_id") !== CLIENT_ID) return oauthError("invalid_client");
  const pin = fromBase64url(form.get("pin") ?? "");
  const machine = form.get("machine") ?? "";
  if (pin?.length !== PIN_BYTES || !MACHINE.test(machine)) return oauthError("invalid_request");
  // Nobody is signed in yet: each request counts, so that one address cannot fill the organisation's places.
  budget.spend(peer);
  const orgId = await store.findOrg("pin", sha256(pin));
  if (orgId === undefined || !(await canSignIn(context, orgId))) return oauthError("invalid_request");
  const asks = { machine, address: peerOf(request) };
  const own = { random, macKey: keys.macKey };
  const begun = await store.inOrg(orgId, (tx) => beginDeviceGrant(tx, asks, own));
  return json(200, {
    device_code: begun.deviceCode,
    user_code: begun.userCode,
    verification_uri: `${origin}/device`,
    expires_in: Math.floor((begun.expiresAt - context.clock.now()) / 1_000),
    interval: begun.intervalMs / 1_000,
  });
}

/** Whether anybody of the organisation could allow it. */
async function canSignIn({ store, passwords, provider }: PeopleContext, orgId: string): Promise<boolean> {
  if (passwords !== undefined) return true;
  return provider !== undefined && orgId === (await store.findOrg("org_name", sha256(provider.org)));
}

/** Codes are guessed by nobody, but each guess asks the store: who waits, or has what they waited for, spends nothing. */
async function issueToken(context: PeopleContext, request: Http2ServerRequest): Promise<WebAnswer> {
  const { store, random, clock, budget } = context;
  const peer = `token:${networkOf(peerOf(request))}`;
  budget.check(peer);
  budget.spend(peer);
  const form = await readForm(request);
  if (form.get("client_id") !== CLIENT_ID) return oauthError("invalid_client");
  if (form.get("grant_type") !== GRANT_TYPE) return oauthError("unsupported_grant_type");
  const deviceCode = form.get("device_code") ?? "";
  if (!DEVICE_CODE.test(deviceCode)) return oauthError("invalid_grant");
  const orgId = await store.findOrg("session", sha256(deviceCode));
  if (orgId === undefined) return oauthError("expired_token");
  const done = await store.inOrg(orgId, (tx) => redeemDeviceGrant(tx, deviceCode, random));
  if (!("error" in done) || done.error === "authorization_pending") budget.forgive(peer);
  if ("error" in done) return oauthError(done.error);
  const expires = Math.floor((done.expiresAt - clock.now()) / 1_000);
  return json(200, { access_token: done.apiKey, token_type: "Bearer", expires_in: expires, member: done.member });
}

async function asOauth(work: () => Promise<WebAnswer>): Promise<WebAnswer> {
  try {
    return await work();
  } catch (failure) {
    if (!(failure instanceof Problem)) throw failure;
    if (failure.code === "auth.slow_down") return oauthError("temporarily_unavailable", 429);
    if (failure.code === "api.malformed") return oauthError("invalid_request");
    throw failure;
  }
}

function oauthError(error: string, status = 400): WebAnswer {
  return json(status, { error });
}

function json(status: number, body: object): WebAnswer {
  return {
    status,
    headers: { "content-type": "application/json", "cache-control": "no-store" },
    body: JSON.stringify(body),
  };
}
