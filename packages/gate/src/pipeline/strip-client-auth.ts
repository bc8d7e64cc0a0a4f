import { cgiName } from "./forwarded-fields.ts";
import { removeParameters } from "./normalise-target.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/** Headers in which clients authenticate themselves. */
const AUTH_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "cookie2",
  "api-key",
  "apikey",
  "x-api-key",
  "x-apikey",
  "x-api-token",
  "x-access-token",
  "x-auth-key",
  "x-auth-token",
  "x-authorization",
  "x-goog-api-key",
  "x-goog-iam-authorization-token",
  "x-gitlab-token",
  "private-token",
  "job-token",
  "deploy-token",
  "x-figma-token",
  "x-sentry-auth",
  "x-shopify-access-token",
  "x-vault-token",
  "x-amz-security-token",
  "x-amz-content-sha256",
  "x-ms-authorization-auxiliary",
  "ocp-apim-subscription-key",
  "dd-api-key",
  "dd-application-key",
  "dpop",
  "authentication",
]);

/** Query parameters that carry a key or a signature. */
const AUTH_PARAMETERS: ReadonlySet<string> = new Set([
  "access_token",
  "api_key",
  "apikey",
  "api-key",
  "auth_token",
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
  return AUTH_HEADERS.has(cgiName(lowerName));
}

/**
 * Removes the sandbox's own authentication, so that an agent cannot carry data out under somebody else's key on an
 * allowed host: everywhere under `strict`, on hosts with a grant under `permissive`, unless the rule that allows the request
 * says that it may go along.
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
