import { type Html, html } from "@gatehouse/kit";
import type { SessionCaller } from "../people/authenticate-session.ts";
import { MAX_PASSWORD_LENGTH, MIN_PASSWORD_LENGTH } from "../people/judge-password.ts";
import type { DeviceGrant } from "../people/people-records.ts";
import type { Destination } from "../people/sign-in-cookie.ts";
import { renderPage } from "./page.ts";

/** Says what was wrong with what came before; nothing where nothing was. */
export function complaint(text: string): Html {
  return text === "" ? html`` : html`<p class="bad" role="alert">${text}</p>`;
}

/** How a sign-in page begins. */
export interface SignInForm {
  readonly to: Destination;
  readonly org: string;
  readonly name?: string;
  /** Host of the provider where people may sign in as well. */
  readonly provider: string | undefined;
  readonly note?: string;
}

export function signInPage({ to, org, name = "", provider, note = "" }: SignInForm): string {
  const other =
    provider === undefined
      ? html``
      : html`<p class="or">or</p><a class="button wide" href="/sign-in/provider?to=${to}">Sign in at ${provider}</a>`;
  return renderPage(
    "Sign in",
    html`${complaint(note)}<form method="post" action="/sign-in"><input type="hidden" name="to" value="${to}">
<label for="org">Organisation</label><input id="org" name="org" value="${org}" required maxlength="63" autocomplete="organization" autocapitalize="none" spellcheck="false"${focused(org === "")}>
<label for="name">Name</label><input id="name" name="name" value="${name}" required maxlength="63" autocomplete="username" autocapitalize="none" spellcheck="false"${focused(org !== "" && name === "")}>
<label for="password">Password</label><input id="password" name="password" type="password" required autocomplete="current-password"${focused(name !== "")}>
<button class="main wide">Sign in</button></form>${other}
<p class="soft">No password yet, or forgotten? An owner of your organisation sends you a link.</p>`,
  );
}

function focused(isFirst: boolean): Html {
  return isFirst ? html` autofocus` : html``;
}

/** Two fields for a password that is chosen. */
export function newPasswordFields({ isFirst }: { readonly isFirst: boolean }): Html {
  return html`<label for="next">New password</label><input id="next" name="next" type="password" required minlength="${String(MIN_PASSWORD_LENGTH)}" maxlength="${String(MAX_PASSWORD_LENGTH)}" autocomplete="new-password" aria-describedby="rule"${focused(isFirst)}>
<p class="soft" id="rule">At least ${String(MIN_PASSWORD_LENGTH)} characters. Four unrelated words are easy to keep and hard to guess.</p>
<label for="again">New password again</label><input id="again" name="again" type="password" required maxlength="${String(MAX_PASSWORD_LENGTH)}" autocomplete="new-password">`;
}

export interface JoinForm {
  readonly member: string;
  readonly org: string;
  readonly code: string;
  readonly note?: string;
}

export function joinPage({ member, org, code, note = "" }: JoinForm): string {
  return renderPage(
    "Choose your password",
    html`<p>You are <strong>${member}</strong> of <strong>${org}</strong>. This link serves once.</p>${complaint(note)}
<form method="post" action="/join"><input type="hidden" name="code" value="${code}">
<label for="name">Name</label><input id="name" name="name" value="${member}" readonly autocomplete="username">
${newPasswordFields({ isFirst: true })}
<button class="main wide">Keep it and sign in</button></form>`,
  );
}

export function signedOutPage(): string {
  return renderPage(
    "Signed out",
    html`<p>This browser opens nothing any more.</p><a class="button" href="/sign-in">Sign in again</a>`,
  );
}

export function askCodePage({ member }: SessionCaller, note = ""): string {
  return renderPage(
    "Let a machine act for you",
    html`<p>You are <strong>${member}</strong>. Type the code that <code>gatehouse login</code> shows on your own machine.</p>${complaint(note)}
<form method="post" action="/device"><label for="code">Code</label>
<input class="code" id="code" name="user_code" required autofocus autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="16" placeholder="XXXX-XXXX">
<button class="main wide">Continue</button></form><p class="soft"><a href="/account">Your account</a></p>`,
  );
}

export function decidePage({ member, role }: SessionCaller, grant: DeviceGrant, userCode: string): string {
  return renderPage(
    "Is this your machine?",
    html`<p>It will act as <strong>${member}</strong> (${role}) for twelve hours. Somebody who sent you here wants this for themselves: allow only what you began yourself, just now.</p>
<dl><dt>Calls itself</dt><dd>${grant.machine}</dd><dt>Asks from</dt><dd>${grant.address}</dd>
<dt>Since</dt><dd>${shownTime(grant.createdAt)}</dd></dl>
<form class="pair" method="post" action="/device/decide"><input type="hidden" name="user_code" value="${userCode}">
<button name="decision" value="deny">Refuse</button><button class="main" name="decision" value="approve">Allow</button></form>`,
  );
}

/** To the minute, in the one zone that a server knows. */
export function shownTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

export function decidedPage(isApproved: boolean): string {
  const says = isApproved
    ? "The machine acts for you now; its terminal goes on by itself."
    : "The machine got nothing.";
  return renderPage(
    isApproved ? "Allowed" : "Refused",
    html`<p>${says} You may close this page.</p><p class="soft"><a href="/account">Your account</a></p>`,
  );
}

export function failurePage(says: string): string {
  return renderPage(
    "That did not work",
    html`<p class="bad" role="alert">${says}</p><a class="button" href="/sign-in">Sign in</a>`,
  );
}
