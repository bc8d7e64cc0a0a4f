import type { Http2ServerRequest } from "node:http2";
import { PROBLEMS, Problem, Secret } from "@gatehouse/core";
import type { SessionCaller } from "../people/authenticate-session.ts";
import { changePassword, confirmPassword } from "../people/change-password.ts";
import { endSessions } from "../people/end-sessions.ts";
import { unlinkIdentity } from "../people/link-identity.ts";
import { type AccountNotes, accountPage, goToProviderPage } from "./account-pages.ts";
import { readForm, refuseOtherSites, siteHeaders } from "./browser-request.ts";
import { providerHost, readNewPassword } from "./password-routes.ts";
import { findSession, requireSession } from "./sessions.ts";
import { beginAtProvider } from "./sign-in-routes.ts";
import { goTo, type PeopleContext, page, type WebAnswer, type WebRoutes } from "./web-answer.ts";

/** What is said once something was done; the address names it, so that nobody puts words there. */
const DONE: Readonly<Record<string, string>> = {
  linked: "You can sign in at your provider from now on.",
  unlinked: "You no longer sign in there. Every other browser is signed out.",
  password: "Your password is changed. Every other browser is signed out.",
  ended: "It is signed out.",
};

type Deed = (asked: {
  readonly context: PeopleContext;
  readonly caller: SessionCaller;
  readonly form: ReadonlyMap<string, string>;
}) => Promise<WebAnswer>;

/** A member's own account. */
export function accountRoutes(context: PeopleContext): WebRoutes {
  const routes = {
    "POST /account/sessions/end": perform(context, endSession),
    "POST /account/password": perform(context, replacePassword),
    "POST /account/unlink": perform(context, unlink),
    "POST /account/link": perform(context, beginLink),
  };
  return {
    "GET /": async () => goTo("/account"),
    "GET /account": async (request, url) => {
      const done = url.searchParams.get("done") ?? "";
      const caller = await findSession(context, request);
      if (caller === undefined) return goTo("/sign-in");
      return showAccount(context, caller, { done: Object.hasOwn(DONE, done) ? (DONE[done] ?? "") : "" });
    },
    ...routes,
  };
}

/** From a page of ours, in a session. What is refused is said on the account's own page. */
function perform(context: PeopleContext, deed: Deed) {
  return async (request: Http2ServerRequest): Promise<WebAnswer> => {
    refuseOtherSites(siteHeaders(request.headers), context.origin);
    const caller = await requireSession(context, request);
    const form = await readForm(request);
    try {
      const answer = await deed({ context, caller, form });
      context.bus.publish({ kind: "people", orgId: caller.orgId });
      return answer;
    } catch (failure) {
      if (!(failure instanceof Problem) || PROBLEMS[failure.code].rpc === "internal") throw failure;
      return showAccount(context, caller, { wrong: failure.message, status: PROBLEMS[failure.code].http });
    }
  };
}

async function showAccount(
  context: PeopleContext,
  caller: SessionCaller,
  { status = 200, ...notes }: AccountNotes & { readonly status?: number },
): Promise<WebAnswer> {
  const { orgId, memberId } = caller;
  const account = await context.store.inOrg(orgId, async (tx) => {
    const identities = await tx.identities.listOfMember(memberId);
    const hasPassword = context.passwords !== undefined && (await tx.passwords.find(memberId)) !== undefined;
    const isOfProvider = (await tx.org.get()).name === context.provider?.org;
    const isLinked = identities.some(({ issuer }) => issuer === context.provider?.provider.issuer);
    const linkable = isOfProvider && !isLinked ? providerHost(context) : undefined;
    return { caller, sessions: await tx.memberSessions.listOfMember(memberId), hasPassword, identities, linkable };
  });
  return page(accountPage(account, notes), { status });
}

const endSession: Deed = async ({ context, caller, form }) => {
  const id = form.get("session") ?? "";
  const which = id === "others" ? { allBut: caller.sessionId } : { id };
  await context.store.inOrg(caller.orgId, (tx) => endSessions(tx, { caller, name: "", which }));
  return goTo("/account?done=ended");
};

const replacePassword: Deed = async ({ context, caller, form }) => {
  const { store, passwords, budget } = context;
  if (passwords === undefined) throw new Problem("signin.no_passwords");
  const current = new Secret(form.get("current") ?? "");
  await changePassword({ caller, current, next: readNewPassword(form) }, { store, passwords, budget });
  return goTo("/account?done=password");
};

const unlink: Deed = async ({ context, caller, form }) => {
  const issuer = form.get("issuer") ?? "";
  await context.store.inOrg(caller.orgId, (tx) => unlinkIdentity(tx, { caller, issuer }));
  return goTo("/account?done=unlinked");
};

/** A form may not lead to another site: a link does, on a page that says where. */
const beginLink: Deed = async ({ context, caller, form }) => {
  const { store, passwords, budget, provider } = context;
  if (passwords === undefined || provider === undefined) throw new Problem("signin.no_passwords");
  await confirmPassword({ caller, password: new Secret(form.get("current") ?? "") }, { store, passwords, budget });
  const own = { errand: "link", sessionId: caller.sessionId } as const;
  const { location, cookies } = await beginAtProvider(context, provider, own);
  const shown = goToProviderPage(new URL(location).host, location);
  return page(shown, { headers: { "set-cookie": cookies } });
};
