import type { SessionCaller } from "../people/authenticate-session.ts";
import type { DeviceGrant } from "../people/people-records.ts";
import { html, renderPage } from "./page.ts";

export function signedInPage({ member, role }: SessionCaller): string {
  return renderPage(
    "Signed in",
    html`<p>You are <strong>${member}</strong>, with the role <strong>${role}</strong>.</p>
<p><a href="/device">Let a machine act for you</a></p>
<form method="post" action="/sign-out"><button>Sign out</button></form>`,
  );
}

export function signedOutPage(): string {
  return renderPage("Signed out", html`<p><a href="/sign-in">Sign in again</a></p>`);
}

export function askCodePage({ member }: SessionCaller, note = ""): string {
  return renderPage(
    "Let a machine act for you",
    html`<p>You are <strong>${member}</strong>. Type the code that <code>gatehouse login</code> shows on your own machine.</p>
<p role="status">${note}</p>
<form method="post" action="/device"><label>Code <input name="user_code" required autofocus autocomplete="off" maxlength="16"></label>
<button>Continue</button></form>`,
  );
}

export function decidePage({ member, role }: SessionCaller, grant: DeviceGrant, userCode: string): string {
  return renderPage(
    "Is this your machine?",
    html`<p>It will act as <strong>${member}</strong> (${role}) for twelve hours. Somebody who sent you here wants this for themselves: allow only what you began yourself, just now.</p>
<dl><dt>It calls itself</dt><dd>${grant.machine}</dd><dt>It asks from</dt><dd>${grant.address}</dd>
<dt>Since</dt><dd>${new Date(grant.createdAt).toISOString()}</dd></dl>
<form method="post" action="/device/decide"><input type="hidden" name="user_code" value="${userCode}">
<button name="decision" value="deny">Refuse</button> <button name="decision" value="approve">Allow</button></form>`,
  );
}

export function decidedPage(isApproved: boolean): string {
  const says = isApproved
    ? "The machine acts for you now; its terminal goes on by itself."
    : "The machine got nothing.";
  return renderPage(isApproved ? "Allowed" : "Refused", html`<p>${says} You may close this page.</p>`);
}

export function failurePage(says: string): string {
  return renderPage("That did not work", html`<p>${says}</p><p><a href="/sign-in">Sign in</a></p>`);
}
