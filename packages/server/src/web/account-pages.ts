import { type Html, html } from "@gatehouse/kit";
import type { SessionCaller } from "../people/authenticate-session.ts";
import type { Identity, MemberSession } from "../people/people-records.ts";
import { renderPage } from "./page.ts";
import { complaint, newPasswordFields, shownTime } from "./people-pages.ts";

/** What a member sees of their own account. */
export interface Account {
  readonly caller: SessionCaller;
  readonly sessions: readonly MemberSession[];
  /** Whether they sign in by a password of this server. */
  readonly hasPassword: boolean;
  readonly identities: readonly Identity[];
  /** The provider at which they could sign in too; absent: none, or they do already. */
  readonly linkable: string | undefined;
}

export interface AccountNotes {
  readonly done?: string;
  readonly wrong?: string;
}

export function accountPage(account: Account, { done = "", wrong = "" }: AccountNotes = {}): string {
  const { member, role } = account.caller;
  return renderPage(
    "Your account",
    html`<p>You are <strong>${member}</strong>, with the role <strong>${role}</strong>.</p>
${complaint(wrong)}${done === "" ? html`` : html`<p class="good" role="status">${done}</p>`}
<a class="button main" href="/device">Let a machine act for you</a>
${sessionsPart(account)}${account.hasPassword ? passwordPart(account.caller) : html``}${providerPart(account)}
<h2>Sign out</h2><form class="bare" method="post" action="/sign-out"><button>Sign out of this browser</button></form>`,
  );
}

function sessionsPart({ caller, sessions }: Account): Html {
  const others = sessions.filter(({ id }) => id !== caller.sessionId);
  const endOthers =
    others.length < 2
      ? html``
      : html`<form class="bare" method="post" action="/account/sessions/end"><input type="hidden" name="session" value="others"><button>Sign out everywhere else</button></form>`;
  return html`<h2>Where you are signed in</h2><ul class="list">${sessions.map((one) => sessionRow(one, one.id === caller.sessionId))}</ul>${endOthers}`;
}

function sessionRow({ id, browser, address, createdAt, lastSeenAt }: MemberSession, isThis: boolean): Html {
  const end = html`<form method="post" action="/account/sessions/end"><input type="hidden" name="session" value="${id}">
<button class="small" aria-label="Sign out ${browser}, since ${shownTime(createdAt)}">Sign out</button></form>`;
  return html`<li><div><p><strong>${browser === "" ? "A browser" : browser}</strong>${isThis ? html` · this one` : html``}</p>
<p class="soft">${address}<br>Since ${shownTime(createdAt)}<br>Last seen ${shownTime(lastSeenAt)}</p></div>${isThis ? html`` : end}</li>`;
}

function passwordPart({ member }: SessionCaller): Html {
  return html`<h2>Change your password</h2><p class="soft">Every other browser is signed out.</p>
<form method="post" action="/account/password">${usernameField(member)}<label for="current">Current password</label><input id="current" name="current" type="password" required autocomplete="current-password">
${newPasswordFields({ isFirst: false })}<button>Change it</button></form>`;
}

/** For password managers alone. */
function usernameField(member: string): Html {
  return html`<input name="username" value="${member}" autocomplete="username" hidden>
`;
}

function providerPart({ caller, hasPassword, identities, linkable }: Account): Html {
  const linked = identities.map(
    ({ issuer }) =>
      html`<li><p><strong>${new URL(issuer).host}</strong></p>${hasPassword ? unlinkForm(issuer) : html``}</li>`,
  );
  const link =
    linkable === undefined || !hasPassword
      ? html``
      : html`<form method="post" action="/account/link">${usernameField(caller.member)}<label for="link-password">Current password</label>
<input id="link-password" name="current" type="password" required autocomplete="current-password"><button>Sign in at ${linkable} too</button></form>`;
  if (linked.length === 0 && link.html === "") return html``;
  return html`<h2>Your identity provider</h2>${linked.length === 0 ? html`` : html`<ul class="list">${linked}</ul>`}${link}`;
}

function unlinkForm(issuer: string): Html {
  return html`<form method="post" action="/account/unlink"><input type="hidden" name="issuer" value="${issuer}">
<button class="small">No longer sign in there</button></form>`;
}

export function goToProviderPage(host: string, url: string): string {
  return renderPage(
    "Sign in at your provider",
    html`<p>Whoever you are at <strong>${host}</strong> when you come back will be able to sign in as you here.</p>
<a class="button main" href="${url}">Continue at ${host}</a> <a class="button" href="/account">Not now</a>`,
  );
}
