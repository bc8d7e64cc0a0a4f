import type { Http2ServerRequest } from "node:http2";
import { PROBLEMS, Problem, Secret } from "@gatehouse/core";
import { FailureBudget } from "../limits/failure-budget.ts";
import { networkOf } from "../limits/network-of.ts";
import { acceptInvitation, findInvited, findInvitingOrg } from "../people/invitations.ts";
import { KNOWN_BROWSER_TTL_MS, makeKnownBrowser } from "../people/known-browser.ts";
import { SESSION_TTL_MS, type SignedIn } from "../people/open-session.ts";
import type { Passwords } from "../people/passwords.ts";
import { signInByPassword } from "../people/sign-in-by-password.ts";
import type { Destination } from "../people/sign-in-cookie.ts";
import {
  cookie,
  KNOWN_BROWSER_COOKIE,
  readCookie,
  readForm,
  refuseOtherSites,
  SESSION_COOKIE,
  siteHeaders,
} from "./browser-request.ts";
import { joinPage, signInPage } from "./people-pages.ts";
import { destinationOf } from "./sign-in-routes.ts";
import { goTo, type PeopleContext, page, peerOf, visitorOf, type WebAnswer, type WebRoutes } from "./web-answer.ts";

const BUDGET = { burst: 20, forgiveEveryMs: 30_000 };

interface PasswordContext extends PeopleContext {
  readonly passwords: Passwords;
}

/** Signing in by a password, and choosing one by a link. Nothing of it is there where nobody signs in here. */
export function passwordRoutes(people: PeopleContext): WebRoutes {
  const { passwords } = people;
  if (passwords === undefined) return {};
  const context = { ...people, passwords };
  const budget = new FailureBudget(BUDGET, people.clock);
  return {
    "GET /sign-in": async (_, url) => {
      const org = url.searchParams.get("org") ?? people.provider?.org ?? "";
      return page(signInPage({ to: destinationOf(url), org, provider: providerHost(people) }));
    },
    "POST /sign-in": (request) => signIn(context, request, budget),
    "GET /join": (_, url) => showJoin(context, url.searchParams.get("code") ?? ""),
    "POST /join": (request) => join(context, request),
  };
}

/** The provider as people know it; `undefined`: there is none. */
export function providerHost({ provider }: PeopleContext): string | undefined {
  return provider === undefined ? undefined : new URL(provider.provider.issuer).host;
}

async function signIn(
  context: PasswordContext,
  request: Http2ServerRequest,
  budget: FailureBudget,
): Promise<WebAnswer> {
  refuseOtherSites(siteHeaders(request.headers), context.origin);
  const form = await readForm(request);
  const to: Destination = form.get("to") === "device" ? "device" : "account";
  const [org, name] = [form.get("org") ?? "", form.get("name") ?? ""];
  const attempt = {
    org,
    name,
    password: new Secret(form.get("password") ?? ""),
    visitor: visitorOf(request),
    network: networkOf(peerOf(request)),
    knownBrowser: readCookie(request.headers.cookie, KNOWN_BROWSER_COOKIE),
  };
  const { store, passwords, random, keys, clock } = context;
  const deps = { store, passwords, budget, random, macKey: keys.macKey, now: () => clock.now() };
  try {
    return welcome(context, await signInByPassword(attempt, deps), to);
  } catch (failure) {
    if (!(failure instanceof Problem) || PROBLEMS[failure.code].rpc === "internal") throw failure;
    const note = failure.message;
    const again = signInPage({ to, org, name, provider: providerHost(context), note });
    context.log.info("sign-in refused", { peer: peerOf(request), code: failure.code });
    return page(again, { status: PROBLEMS[failure.code].http });
  }
}

async function showJoin({ store }: PasswordContext, code: string): Promise<WebAnswer> {
  const orgId = await findInvitingOrg(store, code);
  const { member, org } = await store.inOrg(orgId, (tx) => findInvited(tx, code));
  return page(joinPage({ member: member.name, org, code }));
}

async function join(context: PasswordContext, request: Http2ServerRequest): Promise<WebAnswer> {
  refuseOtherSites(siteHeaders(request.headers), context.origin);
  const form = await readForm(request);
  const secret = form.get("code") ?? "";
  const { store, passwords, random } = context;
  try {
    const password = readNewPassword(form);
    const accepted = { secret, password, visitor: visitorOf(request) };
    return welcome(context, await acceptInvitation(accepted, { store, passwords, random }), "account");
  } catch (failure) {
    if (!(failure instanceof Problem) || failure.code !== "signin.weak_password") throw failure;
    const orgId = await findInvitingOrg(store, secret);
    const { member, org } = await store.inOrg(orgId, (tx) => findInvited(tx, secret));
    const again = joinPage({ member: member.name, org, code: secret, note: failure.message });
    return page(again, { status: PROBLEMS[failure.code].http });
  }
}

/** What was typed twice. Fails with `signin.weak_password` when it was not the same. */
export function readNewPassword(form: ReadonlyMap<string, string>): Secret {
  const next = form.get("next") ?? "";
  if (next !== form.get("again")) throw new Problem("signin.weak_password", { detail: "The two fields differ." });
  return new Secret(next);
}

/** Into the session, in a browser that is known from now on. */
function welcome({ keys, clock, random }: PasswordContext, signedIn: SignedIn & { orgId: string }, to: Destination) {
  const known = makeKnownBrowser(signedIn, clock.now(), { random, macKey: keys.macKey });
  return goTo(`/${to}`, [
    cookie(SESSION_COOKIE, signedIn.token, SESSION_TTL_MS),
    cookie(KNOWN_BROWSER_COOKIE, known, KNOWN_BROWSER_TTL_MS),
  ]);
}
