import { html } from "@gatehouse/kit";
import { expect, test } from "vitest";
import { type Claims, mapPerson, proposedName } from "../src/people/map-person.ts";
import { readCookie } from "../src/web/browser-request.ts";

const rules = {
  roleClaim: "groups",
  roles: { owners: "owner", staff: "viewer" },
  emailDomains: { "acme.example": "operator" },
} as const;

test.each([
  [{}, undefined],
  [{ groups: "staff" }, "viewer"],
  [{ groups: ["staff", "owners", 7, null] }, "owner"],
  [{ groups: { owners: true } }, undefined],
  [{ groups: ["__proto__", "constructor", "Owners", " owners"] }, undefined],
  [{ email: "a@acme.example", email_verified: true, groups: ["staff"] }, "operator"],
  [{ email: "a@ACME.example", email_verified: true }, "operator"],
  [{ email: "a@acme.example", email_verified: "true" }, undefined],
  [{ email: "@acme.example", email_verified: true }, undefined],
  [{ email: "a@b@acme.example", email_verified: true }, undefined],
  [{ email: "a@acme.example.evil.example", email_verified: true }, undefined],
] as const)("%j is let in as %s", (claims, role) => {
  expect(mapPerson(claims as Claims, rules)).toBe(role);
});

test.each([
  [{ email: "Ada.L@acme.example", email_verified: true }, "ada-l"],
  [{ email: "ada@acme.example", preferred_username: "lovelace" }, "lovelace"],
  [{ preferred_username: "../../__x__" }, "x__"],
  [{ preferred_username: "日本" }, "person"],
  [{ preferred_username: "a".repeat(200) }, "a".repeat(40)],
  [{}, "person"],
] as const)("%j is called %s", (claims, name) => {
  expect(proposedName(claims)).toBe(name);
});

test.each([
  ["a=1; b=2", "b", "2"],
  ["b=1; b=2", "b", undefined],
  ["xb=1", "b", undefined],
  [" b = 2 ", "b", "2"],
  ["b", "b", undefined],
  [undefined, "b", undefined],
] as const)("of the cookies %s, %s is %s", (header, name, value) => {
  expect(readCookie(header, name)).toBe(value);
});

test("what is put into a page is text, and what nobody sees is shown", () => {
  const name = `<script>alert("1")</script>'&\u202e\u0000`;
  expect(html`<b title="${name}">${html`<i>${"x"}</i>`}</b>`.html).toBe(
    `<b title="&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;\\u202e\\u0000"><i>x</i></b>`,
  );
});
