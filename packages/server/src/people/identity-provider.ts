import { Problem, type Secret } from "@gatehouse/core";
import type { GuardedFetch } from "@gatehouse/kit";
import type { Configuration } from "openid-client";
import type { Claims } from "./map-person.ts";

export interface IdentityProviderConfig {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly redirectUri: string;
}

/** What binds a sign-in to the browser that began it. */
export interface SignInChecks {
  readonly state: string;
  readonly nonce: string;
  readonly codeVerifier: string;
}

/** An OpenID Connect provider at which people sign in. */
export interface IdentityProvider {
  readonly issuer: string;
  /** Where to send the browser. Fails with `signin.provider_failed`. */
  begin(checks: SignInChecks): Promise<URL>;
  /** Who came back: claims of an ID token that was verified. Fails with `signin.failed`, `signin.provider_failed`. */
  finish(callback: URL, checks: SignInChecks): Promise<Claims & { readonly sub: string }>;
}

const SCOPE = "openid email profile";

/** Speaks to a provider through the guard; its documents are fetched at the first sign-in, so that a start never waits. */
export function createIdentityProvider(config: IdentityProviderConfig, fetch: GuardedFetch): IdentityProvider {
  const { issuer, redirectUri } = config;
  let known: Promise<Configuration> | undefined;
  const discovered = () => {
    known ??= discover(config, fetch).catch((cause: unknown) => {
      known = undefined;
      throw new Problem("signin.provider_failed", { cause });
    });
    return known;
  };
  return {
    issuer,
    begin: async ({ state, nonce, codeVerifier }) => {
      const client = await import("openid-client");
      const found = await discovered();
      return client.buildAuthorizationUrl(found, {
        redirect_uri: redirectUri,
        scope: SCOPE,
        state,
        nonce,
        code_challenge: await client.calculatePKCECodeChallenge(codeVerifier),
        code_challenge_method: "S256",
      });
    },
    finish: async (callback, { state, nonce, codeVerifier }) => {
      const client = await import("openid-client");
      const found = await discovered();
      const checks = { expectedState: state, expectedNonce: nonce, pkceCodeVerifier: codeVerifier };
      try {
        const tokens = await client.authorizationCodeGrant(found, callback, { ...checks, idTokenExpected: true });
        const claims = tokens.claims();
        if (claims === undefined) throw new Problem("signin.failed");
        return { ...claims };
      } catch (cause) {
        throw new Problem("signin.failed", { cause });
      }
    },
  };
}

async function discover(config: IdentityProviderConfig, fetch: GuardedFetch): Promise<Configuration> {
  const client = await import("openid-client");
  const { issuer, clientId, clientSecret } = config;
  const secret = client.ClientSecretBasic(clientSecret.reveal());
  return client.discovery(new URL(issuer), clientId, {}, secret, {
    [client.customFetch]: asFetch(fetch),
    // The ID token's signature is checked too, though it comes over a connection that was verified.
    execute: [client.enableNonRepudiationChecks],
  });
}

/** The library's requests are forms and reads. */
function asFetch(fetch: GuardedFetch) {
  return async (url: string, asked: { body?: unknown; headers: Record<string, string>; method: string }) => {
    const { method, headers, body } = asked;
    const text = body === undefined || body === null ? undefined : String(body);
    return fetch(url, { method, headers, body: text });
  };
}
