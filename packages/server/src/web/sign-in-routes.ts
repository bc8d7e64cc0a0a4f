import type { Http2ServerRequest } from "node:http2";
import { Problem } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import { authenticateSession, type SessionCaller } from "../people/authenticate-session.ts";
import { completeSignIn, SESSION_TTL_MS, signOut } from "../people/complete-sign-in.ts";
import { mapPerson } from "../people/map-person.ts";
import { CALLBACK_PATH } from "../people/sign-in-config.ts";
import { makeSignInCookie, readSignInCookie, SIGN_IN_TTL_MS } from "../people/sign-in-cookie.ts";
import {
  cookie,
  readCookie,
  refuseOtherSites,
  SESSION_COOKIE,
  SIGN_IN_COOKIE,
  siteHeaders,
} from "./browser-request.ts";
import { signedInPage, signedOutPage } from "./people-pages.ts";
import { goTo, type PeopleContext, page, type WebAnswer, type WebRoutes } from "./web-answer.ts";

/** Signing in at the provider and out again. */
export function signInRoutes(context: PeopleContext): WebRoutes {
  return {
    "GET /sign-in": (_, url) => begin(context, url),
    [`GET ${CALLBACK_PATH}`]: (request, url) => finish(context, request, url),
    "GET /signed-in": async (request) => page(signedInPage(await requireSession(context, request))),
    "POST /sign-out": async (request) => {
      refuseOtherSites(siteHeaders(request.headers), context.origin);
      const caller = await requireSession(context, request);
      const own = { id: caller.sessionId, member: caller.member };
      await context.store.inOrg(caller.orgId, (tx) => signOut(tx, own));
      return page(signedOutPage(), { headers: { "set-cookie": cookie(SESSION_COOKIE, "", 0) } });
    },
  };
}

/** The member whose browser it is. Fails with `auth.refused`. A key beside the cookie is refused too. */
export function requireSession({ store }: PeopleContext, { headers }: Http2ServerRequest): Promise<SessionCaller> {
  if (headers.authorization !== undefined) throw new Problem("auth.refused");
  return authenticateSession(readCookie(headers.cookie, SESSION_COOKIE) ?? "", { store });
}

async function begin({ keys, clock, random, signIn }: PeopleContext, url: URL): Promise<WebAnswer> {
  const destination = url.searchParams.get("to") === "device" ? "device" : "signed-in";
  const value = makeSignInCookie(destination, clock.now(), random);
  const underWay = readSignInCookie(value, keys.macKey, clock.now());
  if (underWay === undefined) throw new Problem("signin.failed");
  const location = await signIn.provider.begin(underWay.checks);
  return goTo(location.href, [cookie(SIGN_IN_COOKIE, value, SIGN_IN_TTL_MS)]);
}

async function finish(context: PeopleContext, request: Http2ServerRequest, url: URL): Promise<WebAnswer> {
  const { store, keys, clock, random, signIn } = context;
  const value = readCookie(request.headers.cookie, SIGN_IN_COOKIE) ?? "";
  const underWay = readSignInCookie(value, keys.macKey, clock.now());
  if (underWay === undefined) throw new Problem("signin.failed");
  if (!(await store.insertOnce("spent_challenges", underWay.sha256, underWay.expiresAt))) {
    throw new Problem("signin.failed");
  }
  const claims = await signIn.provider.finish(url, underWay.checks);
  const orgId = await store.findOrg("org_name", sha256(signIn.org));
  if (orgId === undefined) throw new Problem("signin.refused");
  const person = { issuer: signIn.provider.issuer, claims, role: mapPerson(claims, signIn.rules) };
  const signedIn = await store.inOrg(orgId, (tx) => completeSignIn(tx, person, random));
  if (signedIn === undefined) throw new Problem("signin.refused");
  const session = cookie(SESSION_COOKIE, signedIn.token, SESSION_TTL_MS);
  return goTo(`/${underWay.destination}`, [session, cookie(SIGN_IN_COOKIE, "", 0)]);
}
