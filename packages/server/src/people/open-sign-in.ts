import type { Secret } from "@gatehouse/core";
import { createGuardedFetch } from "@gatehouse/kit";
import { createIdentityProvider } from "./identity-provider.ts";
import type { SignInRules } from "./map-person.ts";
import { CALLBACK_PATH, type SignInConfig } from "./sign-in-config.ts";

/** An OpenID Connect provider and whom of its people to let in. */
export interface OidcConfig {
  /** https URL, as the provider spells it. */
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  /** Name of the organisation whose people they are. */
  readonly org: string;
  readonly rules: SignInRules;
  /** Ranges beside public addresses where the provider may be. */
  readonly addressRanges: readonly string[];
  /** PEM of authorities that are trusted beside the usual ones when the provider is asked. */
  readonly authoritiesPem: string | undefined;
}

/** Asks nobody yet: the provider's documents are fetched at the first sign-in. */
export function openSignIn(config: OidcConfig | undefined, origin: string): SignInConfig | undefined {
  if (config === undefined) return undefined;
  const { issuer, clientId, clientSecret, org, rules, addressRanges, authoritiesPem } = config;
  const fetch = createGuardedFetch({ addressRanges, authoritiesPem });
  const redirectUri = `${origin}${CALLBACK_PATH}`;
  return { provider: createIdentityProvider({ issuer, clientId, clientSecret, redirectUri }, fetch), org, rules };
}
