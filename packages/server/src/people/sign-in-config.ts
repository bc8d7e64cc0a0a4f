import type { IdentityProvider } from "./identity-provider.ts";
import type { SignInRules } from "./map-person.ts";

/** Where the provider sends the browser back to. */
export const CALLBACK_PATH = "/sign-in/callback";

/** How people sign in to one organisation. */
export interface SignInConfig {
  readonly provider: IdentityProvider;
  /** Name of the organisation whose people they are. */
  readonly org: string;
  readonly rules: SignInRules;
}
