import { type NetworkPolicyInput, Problem, parseHostPattern, parseRunId, type RunId } from "@gatehouse/core";
import * as z from "zod";
import { checkHeaderName, checkHost } from "../credentials/binding.ts";
import { type McpServer, parseMcpServer } from "../snapshot/mcp-server.ts";
import { type HeaderSlot, type HostHeader, TRANSFORMER_KINDS, type Transformer } from "../snapshot/run-snapshot.ts";
import type { InlineCredential } from "./registered-run.ts";

/** What `POST /v1/runs` asks for, read strictly where it has effect. */
export interface Registration {
  readonly runId: RunId;
  readonly token: string | undefined;
  readonly credentials: readonly InlineCredential[];
  /** `token_substitutions` and `slots`. */
  readonly slots: readonly HeaderSlot[];
  readonly transformers: readonly Transformer[];
  readonly mcpServers: readonly McpServer[];
  readonly extraHeaders: readonly HostHeader[];
  readonly removeHeaders: readonly { readonly host: string; readonly name: string }[];
  readonly grants: readonly string[];
  readonly policy: NetworkPolicyInput;
}

/** Fields of the wire shape that this version cannot honour. One that is not empty is refused, never ignored. */
const NOT_SERVED = ["aws_config", "expires_at", "policy", "policy_yaml", "policy_rule_sets"] as const;

const HEADER_NAME = z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}$/);
const HEADER_VALUE = z
  .string()
  .max(65_536)
  .regex(/^[\t\x20-\x7e]*$/);
/** A shorter placeholder would be met in ordinary requests, and they refused. */
const PLACEHOLDER = z.string().regex(/^[!-~]{8,4096}$/);
const HOST = z.string().min(1).max(260);
/** What a caller leaves out, or sends as its language's empty text, is absent. */
const optional = <T extends z.ZodType>(text: T) =>
  z.preprocess((value) => (value === "" || value === null ? undefined : value), text.optional());
const list = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .max(10_000)
    .nullish()
    .transform((items) => items ?? []);

const registrationSchema = z.object({
  run_id: z.string(),
  auth_token: optional(z.string().regex(/^[0-9a-f]{64}$/)),
  credentials: list(
    z.object({ host: HOST, header: HEADER_NAME, value: HEADER_VALUE.min(1), grant: optional(z.string().max(128)) }),
  ),
  extra_headers: list(z.object({ host: HOST, header_name: HEADER_NAME, value: HEADER_VALUE })),
  remove_headers: list(z.object({ host: HOST, header_name: HEADER_NAME })),
  token_substitutions: list(z.object({ host: HOST, placeholder: PLACEHOLDER, real_token: HEADER_VALUE.min(1) })),
  slots: list(
    z.object({
      kind: optional(z.literal("header")),
      host: HOST,
      header: HEADER_NAME,
      placeholder: PLACEHOLDER,
      value: HEADER_VALUE.min(1),
      grant: optional(z.string().max(128)),
    }),
  ),
  response_transformers: list(z.object({ host: HOST, kind: z.enum(TRANSFORMER_KINDS) })),
  mcp_servers: list(
    z.object({
      name: z.string(),
      url: z.string().max(2_048),
      auth: z.preprocess(
        (value) => (isEmpty(value) ? undefined : value),
        z.object({ grant: z.string().min(1).max(128), header: HEADER_NAME }).optional(),
      ),
      policy: z.unknown().optional(),
    }),
  ),
  grants: list(z.string().max(64)),
  network_policy: optional(z.enum(["permissive", "strict"])),
  network_allow: list(HOST),
  network_rules: list(
    z.object({
      host: HOST,
      rules: list(
        z.object({
          action: z.enum(["allow", "deny"]),
          method: optional(z.string().max(32)),
          path_pattern: optional(z.string().max(2_048)),
        }),
      ),
    }),
  ),
});

/** Reads a registration. Key names are matched without case; unknown ones are ignored. */
export function parseRegistration(body: unknown): Registration {
  const fields = requireObject(lowerKeys(body));
  for (const name of NOT_SERVED) if (!isEmpty(fields[name])) throw notServed(name);
  if (typeof fields.run_id !== "string" || fields.run_id === "") throw malformed("run_id is missing");
  const parsed = registrationSchema.safeParse(fields);
  if (!parsed.success) throw malformed(describe(parsed.error));
  const read = parsed.data;
  const { credentials, extra_headers: extra, remove_headers: removed } = read;
  const slots = slotsOf(read);
  for (const { host } of [...extra, ...removed, ...read.response_transformers]) parseHostPattern(host);
  for (const { host } of [...credentials, ...slots]) checkHost(host);
  const servers = mcpServersOf(read);
  const filled = [...credentials, ...slots].map(({ header }) => header);
  for (const name of [...filled, ...extra.map((one) => one.header_name)]) checkHeaderName(name);
  return {
    runId: parseRunId(read.run_id),
    token: read.auth_token,
    credentials: credentials.map(asCredential),
    slots,
    transformers: read.response_transformers,
    mcpServers: servers,
    extraHeaders: extra.map(({ host, header_name, value }) => ({ host, name: header_name, value })),
    removeHeaders: removed.map(({ host, header_name }) => ({ host, name: header_name.toLowerCase() })),
    grants: [...new Set(read.grants)],
    policy: policyOf(read),
  };
}

type Read = z.infer<typeof registrationSchema>;

function asCredential({ host, header, value, grant }: Read["credentials"][number]): InlineCredential {
  return { host, header: header.toLowerCase(), value, grant };
}

/** Of a substitution, the slot is the Authorization header. */
function slotsOf({ token_substitutions: substitutions, slots }: Read): readonly HeaderSlot[] {
  return [
    ...substitutions.map(({ host, placeholder, real_token: value }) => {
      return { grant: undefined, host, header: "authorization", placeholder, value };
    }),
    ...slots.map(({ host, header, placeholder, value, grant }) => {
      return { grant, host, header: header.toLowerCase(), placeholder, value };
    }),
  ];
}

/** Each name once. A policy about a server's tools, as other tools have it, is refused like their other ones. */
function mcpServersOf({ mcp_servers: servers }: Read): readonly McpServer[] {
  if (servers.some(({ policy }) => !isEmpty(policy))) throw notServed("policy of mcp_servers");
  if (new Set(servers.map(({ name }) => name)).size !== servers.length) throw malformed("an MCP server stands twice");
  return servers.map(({ name, url, auth }) => {
    const header = auth?.header.toLowerCase() ?? "";
    const server = { name, url, auth: auth && { grant: auth.grant, header } };
    if (auth !== undefined) checkHeaderName(header);
    parseMcpServer(server);
    return server;
  });
}

function requireObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw malformed("the body is no object");
  return value as Readonly<Record<string, unknown>>;
}

function policyOf(read: Read): NetworkPolicyInput {
  return {
    mode: read.network_policy ?? "strict",
    hostRules: read.network_rules.map(({ host, rules }) => ({
      host,
      rules: rules.map(({ action, method, path_pattern }) => ({
        action,
        method: method ?? "*",
        pathPattern: path_pattern ?? "**",
      })),
    })),
    allow: read.network_allow,
  };
}

/** The wire shape has five levels; a policy of other tools, which is refused by name, a few more. */
const MAX_DEPTH = 32;

/** Lower-cases every key of the wire shape, whatever its depth; values stay. Fails where two keys become one. */
export function lowerKeys(value: unknown, depth = 0): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (depth === MAX_DEPTH) throw malformed(`it is nested more than ${MAX_DEPTH} deep`);
  if (Array.isArray(value)) return value.map((item) => lowerKeys(item, depth + 1));
  const entries = Object.entries(value).map(
    ([key, inner]) => [key.toLowerCase(), lowerKeys(inner, depth + 1)] as const,
  );
  const keys = new Set(entries.map(([key]) => key));
  if (keys.size !== entries.length) throw malformed("a key stands twice");
  return Object.fromEntries(entries);
}

/** Nothing is stated: absent, or what languages write for it, an object of empty values among it. */
function isEmpty(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === "object" && value !== null) return Object.values(value).every(isEmpty);
  return value === undefined || value === null || value === "" || value === false || value === 0;
}

function notServed(name: string): Problem {
  return new Problem("api.not_supported", { detail: `The field ${name} is not supported.` });
}

function malformed(detail: string): Problem {
  return new Problem("api.malformed", { detail: `${detail}.` });
}

function describe({ issues }: z.ZodError): string {
  const [first] = issues;
  return `${first?.path.join(".") ?? "body"}: ${first?.message ?? "malformed"}`;
}
