import { Problem, parseResourceName, Secret } from "@gatehouse/core";
import { type Config, readPrivateFile } from "@gatehouse/kit";
import type { OidcConfig } from "@gatehouse/server";
import { readTextFile } from "../terminal/read-text-file.ts";

const MAX_SECRET_BYTES = 65_536;
const MAX_PEM_BYTES = 1_048_576;

/** Where people sign in, as configured: all of it or nothing. Fails with `config.invalid`, naming what is missing. */
export async function readOidc({ oidc, sources }: Config): Promise<OidcConfig | undefined> {
  const { issuer, clientId, clientSecretFile, org, roleClaim, roles, emailDomains, caFile, addressRanges } = oidc;
  if (issuer === undefined) {
    const stray = Object.entries(sources).find(([key, source]) => key.startsWith("oidc.") && source !== "default");
    if (stray !== undefined) throw invalid(`${stray[0]} is set, but oidc.issuer is not.`);
    return undefined;
  }
  if (!URL.canParse(issuer) || new URL(issuer).protocol !== "https:")
    throw invalid("oidc.issuer must be an https URL.");
  const clientSecret = await readSecret(required(clientSecretFile, "oidc.clientSecretFile"));
  if (Object.keys(roles).length + Object.keys(emailDomains).length === 0) {
    throw invalid("Neither oidc.roles nor oidc.emailDomains lets anybody in.");
  }
  return {
    issuer,
    clientId: required(clientId, "oidc.clientId"),
    clientSecret,
    org: parseResourceName(required(org, "oidc.org")),
    rules: { roleClaim, roles, emailDomains },
    addressRanges,
    authoritiesPem: caFile === undefined ? undefined : await readPem(caFile),
  };
}

function required(value: string | undefined, key: string): string {
  if (value === undefined) throw invalid(`oidc.issuer is set, but ${key} is not.`);
  return value;
}

async function readSecret(path: string): Promise<Secret> {
  const text = (await readPrivateFile(path, MAX_SECRET_BYTES))?.toString("utf8").trim() ?? "";
  if (text === "") throw invalid("oidc.clientSecretFile names no file, or an empty one.");
  return new Secret(text);
}

async function readPem(path: string): Promise<string> {
  try {
    return await readTextFile(path, MAX_PEM_BYTES);
  } catch (cause) {
    throw new Problem("config.invalid", { detail: "oidc.caFile cannot be read.", cause });
  }
}

function invalid(detail: string): Problem {
  return new Problem("config.invalid", { detail });
}
