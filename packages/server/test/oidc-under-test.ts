import { Secret } from "@gatehouse/core";
import type { FakeIdentityProvider } from "@gatehouse/testbed";
import type { OidcConfig } from "../src/index.ts";

/** A server's settings for a provider on loopback. */
export function oidcOf(provider: FakeIdentityProvider, addressRanges = ["127.0.0.0/8"]): OidcConfig {
  return {
    issuer: provider.issuer,
    clientId: provider.clientId,
    clientSecret: new Secret(provider.clientSecret),
    org: "acme",
    rules: {
      roleClaim: "groups",
      roles: { admins: "admin", staff: "viewer" },
      emailDomains: { "acme.example": "operator" },
    },
    addressRanges,
    authoritiesPem: provider.authorityPem,
  };
}
