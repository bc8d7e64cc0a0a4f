import { cgiName } from "./forwarded-fields.ts";
import { removeParameters } from "./normalise-target.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/** Headers in which clients authenticate themselves. */
const AUTH_HEADERS: ReadonlySet<string> = new Set([
  "cookie",
  "cookie2",
  "auth",
  "token",
  "x-auth",
  "x-token",
  "x-goog-iam-authorization-token",
  "x-gitlab-token",
  "private-token",
  "job-token",
  "deploy-token",
  "circle-token",
  "fastly-key",
  "x-figma-token",
  "x-functions-key",
  "x-sentry-auth",
  "x-vault-token",
  "x-amz-security-token",
  "x-amz-content-sha256",
  "x-ms-authorization-auxiliary",
  "dd-application-key",
  "dpop",
  "authentication",
]);

/** How most others of them end: `x-goog-api-key`, `x-shopify-access-token`, `ocp-apim-subscription-key`. */
const AUTH_HEADER =
  /(?:^|-)(?:authorization|(?:api|access|auth)-?(?:key|token)|api-?secret|secret-?key|client-secret|subscription-key)$/;

/** Query parameters that carry a key or a signature. */
const AUTH_PARAMETERS: ReadonlySet<string> = new Set([
  "access_token",
  "api_key",
  "apikey",
  "api-key",
  "api_token",
  "x-api-key",
  "auth_key",
  "auth_token",
  "authtoken",
  "authorization",
  "bearer_token",
  "oauth_token",
  "oauth_consumer_key",
  "oauth_signature",
  "hapikey",
  "subscription-key",
  "private_token",
  "job_token",
  "client_secret",
  "key",
  "token",
  "sig",
  "signature",
  "sentry_key",
  "sentry_secret",
  "awsaccesskeyid",
  "googleaccessid",
  "x-amz-algorithm",
  "x-amz-credential",
  "x-amz-security-token",
  "x-amz-signature",
  "x-goog-algorithm",
  "x-goog-credential",
  "x-goog-signature",
]);

/** Whether clients authenticate themselves in this header. */
export function isClientAuth(lowerName: string): boolean {
  const name = cgiName(lowerName);
  return AUTH_HEADERS.has(name) || AUTH_HEADER.test(name);
}

/**
 * Removes the sandbox's own authentication, so that an agent cannot carry data out under somebody else's key on an
 * allowed host: everywhere under `strict`, on hosts with a grant under `permissive`, unless the rule that allows the
 * request says that it may go along.
 */
export function stripClientAuth(context: RequestContext): Refusal | undefined {
  const { run, plan } = context;
  const isStripped = run.policy.input.mode === "strict" || plan.isGranted;
  if (!isStripped || context.keepsClientAuth) return undefined;
  context.stripsClientAuth = true;
  const { filled } = context;
  context.fields = context.fields.filter((one) => !isClientAuth(one.lowerName) || filled.has(one));
  context.query = removeParameters(context.query, AUTH_PARAMETERS);
  return undefined;
}
