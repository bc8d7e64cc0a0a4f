import type { Http2ServerRequest } from "node:http2";
import { Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { networkOf } from "../limits/network-of.ts";
import { completeSignIn, signOut } from "../people/complete-sign-in.ts";
import { linkIdentity } from "../people/link-identity.ts";
import { mapPerson } from "../people/map-person.ts";
import { SESSION_TTL_MS } from "../people/open-session.ts";
import { CALLBACK_PATH, type SignInConfig } from "../people/sign-in-config.ts";
import {
  type Destination,
  type Errand,
  makeSignInCookie,
  readSignInCookie,
  SIGN_IN_TTL_MS,
} from "../people/sign-in-cookie.ts";
import {
  cookie,
  readCookie,
  refuseOtherSites,
  SESSION_COOKIE,
  SIGN_IN_COOKIE,
  siteHeaders,
} from "./browser-request.ts";
import { signedOutPage } from "./people-pages.ts";
import { findSession, requireSession } from "./sessions.ts";
import { goTo, type PeopleContext, page, peerOf, visitorOf, type WebAnswer, type WebRoutes } from "./web-answer.ts";

/** Signing in at the provider, where there is one, and out again. */
export function signInRoutes(context: PeopleContext): WebRoutes {
  const { provider } = context;
  const signOutHere = async (request: Http2ServerRequest) => {
    refuseOtherSites(siteHeaders(request.headers), context.origin);
    const caller = await requireSession(context, request);
    const own = { id: caller.sessionId, member: caller.member };
    await context.store.inOrg(caller.orgId, (tx) => signOut(tx, own));
    context.bus.publish({ kind: "people", orgId: caller.orgId });
    return page(signedOutPage(), { headers: { "set-cookie": cookie(SESSION_COOKIE, "", 0) } });
  };
  if (provider === undefined) return { "POST /sign-out": signOutHere };
  const begin = async (_: Http2ServerRequest, url: URL) => {
    const { location, cookies } = await beginAtProvider(context, provider, { errand: destinationOf(url) });
    return goTo(location, cookies);
  };
  return {
    "POST /sign-out": signOutHere,
    "GET /sign-in/provider": begin,
    [`GET ${CALLBACK_PATH}`]: (request, url) => finish(context, provider, { request, url }),
    // Where nobody signs in here there is nothing to choose.
    ...(context.passwords === undefined ? { "GET /sign-in": begin } : {}),
  };
}

/** Where a person wanted to go. */
export function destinationOf(url: URL): Destination {
  return url.searchParams.get("to") === "device" ? "device" : "account";
}

/** Where to send a browser, and the cookie that binds its return to it. */
export async function beginAtProvider(
  { keys, clock, random }: PeopleContext,
  { provider }: SignInConfig,
  { errand, sessionId }: { readonly errand: Errand; readonly sessionId?: string },
): Promise<{ readonly location: string; readonly cookies: readonly string[] }> {
  const value = makeSignInCookie(errand, clock.now(), random);
  const underWay = readSignInCookie(value, { macKey: keys.macKey, nowMs: clock.now(), sessionId });
  if (underWay === undefined) throw new Problem("signin.failed");
  const location = await provider.begin(underWay.checks);
  return { location: location.href, cookies: [cookie(SIGN_IN_COOKIE, value, SIGN_IN_TTL_MS)] };
}

interface Return {
  readonly request: Http2ServerRequest;
  readonly url: URL;
}

/** A return that fails costs its network something: with a cookie that anybody gets it makes us ask the provider. */
async function finish(context: PeopleContext, at: SignInConfig, back: Return): Promise<WebAnswer> {
  const peer = `callback:${networkOf(peerOf(back.request))}`;
  context.budget.check(peer);
  context.budget.spend(peer);
  const answer = await takeReturn(context, at, back);
  context.budget.forgive(peer);
  return answer;
}

async function takeReturn(context: PeopleContext, at: SignInConfig, { request, url }: Return): Promise<WebAnswer> {
  const { store, keys, clock, random } = context;
  const caller = await findSession(context, request);
  const value = readCookie(request.headers.cookie, SIGN_IN_COOKIE) ?? "";
  const from = { macKey: keys.macKey, nowMs: clock.now(), sessionId: caller?.sessionId };
  const underWay = readSignInCookie(value, from);
  if (underWay === undefined) throw new Problem("signin.failed");
  if (!(await store.insertOnce("spent_challenges", underWay.sha256, underWay.expiresAt))) {
    throw new Problem("signin.failed");
  }
  const claims = await at.provider.finish(url, underWay.checks);
  const orgId = await store.findOrg("org_name", sha256(at.org));
  if (orgId === undefined) throw new Problem("signin.refused");
  const { issuer } = at.provider;
  const isOver = cookie(SIGN_IN_COOKIE, "", 0);
  if (underWay.errand === "link") {
    if (caller?.orgId !== orgId) throw new Problem("signin.failed");
    await store.inOrg(orgId, (tx) => linkIdentity(tx, { caller, person: { issuer, subject: claims.sub } }));
    return goTo("/account?done=linked", [isOver]);
  }
  const person = { issuer, claims, role: mapPerson(claims, at.rules) };
  const visitor = visitorOf(request);
  const signedIn = await store.inOrg(orgId, (tx) => completeSignIn(tx, person, { visitor, random }));
  if (signedIn === undefined) throw new Problem("signin.refused");
  return goTo(`/${underWay.errand}`, [cookie(SESSION_COOKIE, signedIn.token, SESSION_TTL_MS), isOver]);
}
