import { createServer } from "node:https";
import { Secret } from "@gatehouse/core";
import { createTestAuthority, type LoopbackServer, listenOnLoopback, ScriptedBrowser } from "@gatehouse/testbed";
import { type CryptoKey, exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DATABASES, type TestDatabase } from "./databases.ts";
import { FleetUnderTest, type OrgUnderTest } from "./fleet-under-test.ts";
import { storedRows } from "./stored-rows.ts";

const CLIENT_ID = "gatehouse-server";
const CLIENT_SECRET = "a secret of the client";
const HOUR_S = 3_600;

interface Forgery {
  readonly name: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly by?: "another key" | "nobody" | "the client's secret" | "the provider's public key" | "a key that it brings";
  /** Beside code and state, where the browser comes back. */
  readonly back?: Readonly<Record<string, string>>;
}

/** A provider that puts into an ID token whatever a test wants. */
let forgery: Forgery = { name: "none" };
let nonce = "";
let keys: Readonly<Record<"own" | "ownPublic" | "other" | "otherPublic", CryptoKey>>;
let provider: LoopbackServer;
let issuer = "";
let database: TestDatabase;
let fleet: FleetUnderTest;
let org: OrgUnderTest;

async function idToken(): Promise<string> {
  const now = Math.floor(Date.now() / 1_000);
  const right = { iss: issuer, aud: CLIENT_ID, sub: "u1", iat: now, exp: now + HOUR_S, nonce, groups: ["admins"] };
  const claims = { ...right, ...forgery.claims };
  if (forgery.by === "nobody") return new UnsecuredJWT(claims).encode();
  const token = new SignJWT(claims);
  // What everybody may know, taken for a key that two have in common.
  const shared = forgery.by === "the client's secret" ? CLIENT_SECRET : await exportSPKI(keys.ownPublic);
  switch (forgery.by) {
    case "the client's secret":
    case "the provider's public key":
      return token.setProtectedHeader({ alg: "HS256", kid: "k1" }).sign(new TextEncoder().encode(shared));
    case "a key that it brings":
      return token.setProtectedHeader({ alg: "ES256", jwk: await exportJWK(keys.otherPublic) }).sign(keys.other);
    default:
      return token
        .setProtectedHeader({ alg: "ES256", kid: "k1" })
        .sign(forgery.by === "another key" ? keys.other : keys.own);
  }
}

beforeAll(async () => {
  const authority = await createTestAuthority();
  const [own, other] = [await generateKeyPair("ES256", { extractable: true }), await generateKeyPair("ES256")];
  keys = {
    own: own.privateKey,
    ownPublic: own.publicKey,
    other: other.privateKey,
    otherPublic: other.publicKey,
  };
  const jwk = { ...(await exportJWK(own.publicKey)), kid: "k1", alg: "ES256", use: "sig" };
  const answers: Readonly<Record<string, () => Promise<object> | object>> = {
    "/.well-known/openid-configuration": () => ({
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      response_types_supported: ["code"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["ES256"],
    }),
    "/jwks": () => ({ keys: [jwk] }),
    "/token": async () => ({ access_token: "a", token_type: "Bearer", id_token: await idToken() }),
  };
  const server = createServer(authority.serverOptions, async (request, response) => {
    const body = await answers[request.url ?? ""]?.();
    response.writeHead(body === undefined ? 404 : 200, { "content-type": "application/json" });
    response.end(JSON.stringify(body ?? {}));
  });
  provider = await listenOnLoopback(server);
  issuer = `https://127.0.0.1:${provider.port}`;
  database = await DATABASES[0].open();
  const oidc = {
    issuer,
    clientId: CLIENT_ID,
    clientSecret: new Secret(CLIENT_SECRET),
    org: "acme",
    rules: { roleClaim: "groups", roles: { admins: "admin" as const }, emailDomains: {} },
    addressRanges: ["127.0.0.0/8"],
    authoritiesPem: authority.certificatePem,
  };
  fleet = await FleetUnderTest.open(database.location, { oidc });
  org = await fleet.createOrg("acme");
});

afterAll(async () => {
  await fleet[Symbol.asyncDispose]();
  await provider[Symbol.asyncDispose]();
  await database[Symbol.asyncDispose]();
});

async function signIn(asked: Forgery): Promise<number> {
  forgery = asked;
  const browser = new ScriptedBrowser();
  const { headers } = await browser.visitOnce(`${fleet.server.url}/sign-in`);
  const sent = new URL(headers.location ?? "");
  nonce = sent.searchParams.get("nonce") ?? "";
  expect(sent.searchParams.get("code_challenge_method")).toBe("S256");
  const query = new URLSearchParams({ code: "c", state: sent.searchParams.get("state") ?? "", ...asked.back });
  return (await browser.visitOnce(`${fleet.server.url}/sign-in/callback?${query}`)).status;
}

test("a token that is right lets its person in", async () => {
  expect(await signIn({ name: "right" })).toBe(303);
});

const past = Math.floor(Date.now() / 1_000) - HOUR_S;
const FORGERIES: readonly Forgery[] = [
  { name: "signed by another key", by: "another key" },
  { name: "signed by nobody", by: "nobody" },
  { name: "signed by the secret of the client", by: "the client's secret" },
  { name: "signed by the provider's public key, taken for a secret", by: "the provider's public key" },
  { name: "signed by a key that it brings itself", by: "a key that it brings" },
  { name: "that another provider's answer brought", back: { iss: "https://id.example" } },
  { name: "of another sign-in under way", back: { state: "another" } },
  { name: "for another client", claims: { aud: "another" } },
  { name: "for several clients, and made for another", claims: { aud: [CLIENT_ID, "another"], azp: "another" } },
  { name: "of another issuer", claims: { iss: "https://id.example" } },
  { name: "of another sign-in", claims: { nonce: "another" } },
  { name: "of no sign-in", claims: { nonce: undefined } },
  { name: "that has expired", claims: { iat: past - 60, exp: past } },
  { name: "without an end", claims: { exp: undefined } },
  { name: "of nobody", claims: { sub: undefined } },
];

test.each(FORGERIES)("a token $name opens no session and makes no member", async (asked) => {
  const before = await storedRows(database.location, org.orgId, "member_sessions");
  expect(await signIn(asked)).toBe(400);
  expect(await storedRows(database.location, org.orgId, "member_sessions")).toEqual(before);
  expect(await storedRows(database.location, org.orgId, "members")).toHaveLength(2);
});
