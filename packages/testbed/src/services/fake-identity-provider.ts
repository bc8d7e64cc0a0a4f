import { generateKeyPairSync, randomBytes } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer } from "node:https";
import Provider, { type JWK } from "oidc-provider";
import { type LoopbackServer, listenOnLoopback } from "./loopback-server.ts";
import { createTestAuthority } from "./test-authority.ts";

/** What the provider says of a person: `sub` and whatever claims. */
export type FakePerson = { readonly sub: string } & Readonly<Record<string, unknown>>;

/** A certified OpenID Connect provider on loopback, under an authority of its own, with whoever a test puts there. */
export interface FakeIdentityProvider extends AsyncDisposable {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly authorityPem: string;
  /** Who sits at the browser from now on. */
  person: FakePerson;
  /** Lets the client send people back to this URL; before it is called nobody can sign in. */
  admit(redirectUri: string): void;
  /** Paths that were asked for, in order. */
  readonly asked: readonly string[];
}

const CLIENT_ID = "gatehouse-server";
const CLAIMS = ["groups", "email", "email_verified", "preferred_username"];

export async function openFakeIdentityProvider(): Promise<FakeIdentityProvider> {
  const authority = await createTestAuthority();
  const clientSecret = randomBytes(24).toString("base64url");
  const asked: string[] = [];
  let answer: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  const server = createServer(authority.serverOptions, (request, response) => {
    asked.push((request.url ?? "").split("?")[0] ?? "");
    if (answer === undefined) response.writeHead(503).end();
    else answer(request, response);
  });
  const listening: LoopbackServer = await listenOnLoopback(server);
  const issuer = `https://127.0.0.1:${listening.port}`;
  const own: FakeIdentityProvider = {
    issuer,
    clientId: CLIENT_ID,
    clientSecret,
    authorityPem: authority.certificatePem,
    person: { sub: "nobody" },
    asked,
    admit: (redirectUri) => {
      const provider = createProvider(issuer, { clientSecret, redirectUri, person: () => own.person });
      const callback = provider.callback();
      answer = (request, response) => {
        if (!request.url?.startsWith("/interaction/")) return void callback(request, response);
        const login = { login: { accountId: own.person.sub, remember: false } };
        void provider.interactionFinished(request, response, login, { mergeWithLastSubmission: false });
      };
    },
    [Symbol.asyncDispose]: () => listening[Symbol.asyncDispose](),
  };
  return own;
}

interface ProviderOptions {
  readonly clientSecret: string;
  readonly redirectUri: string;
  readonly person: () => FakePerson;
}

function createProvider(issuer: string, { clientSecret, redirectUri, person }: ProviderOptions): Provider {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const signing: JWK = { ...privateKey.export({ format: "jwk" }), kty: "EC", alg: "ES256", use: "sig", kid: "k1" };
  const client = { client_id: CLIENT_ID, client_secret: clientSecret, redirect_uris: [redirectUri] };
  return new Provider(issuer, {
    clients: [{ ...client, id_token_signed_response_alg: "ES256" }],
    jwks: { keys: [signing] },
    cookies: { keys: [randomBytes(16).toString("hex")] },
    claims: { openid: ["sub", ...CLAIMS], email: [], profile: [] },
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: (_, accountId) => ({ accountId, claims: () => ({ ...person(), sub: accountId }) }),
    loadExistingGrant: async ({ oidc }) => {
      const { client: asking, session, provider } = oidc;
      const own = { clientId: asking?.clientId ?? "", accountId: session?.accountId ?? "" };
      const grant = new provider.Grant(own);
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
  });
}
