import { match, deepStrictEqual as same } from "node:assert";
import { parseRegistration } from "../../../packages/gate/src/registry/parse-registration.ts";
import { type FuzzTarget, unlessRefused } from "../fuzz-target.ts";
import { mutateJson } from "../mutate-json.ts";

const REGISTRATIONS: readonly object[] = [
  { run_id: "run-1" },
  {
    run_id: "run-1",
    auth_token: "0123456789abcdef".repeat(4),
    credentials: [{ host: "api.test", header: "Authorization", value: "Bearer real-value", grant: "api" }],
    extra_headers: [{ host: "api.test:443", header_name: "X-Extra", value: "1" }],
    remove_headers: [{ host: "*.test", header_name: "X-Gone" }],
    grants: ["api"],
    network_policy: "strict",
    network_allow: ["api.test", "*.other.test:8080"],
    network_rules: [{ host: "api.test", rules: [{ action: "deny", method: "DELETE", path_pattern: "/**" }] }],
  },
  {
    RUN_ID: "run.2",
    Network_Policy: "permissive",
    Token_Substitutions: [{ host: "api.test", placeholder: "placeholder-1", real_token: "real-value" }],
    slots: [{ kind: "header", host: "api.test", header: "X-Slot", placeholder: "placeholder-2", value: "real-value" }],
    response_transformers: [{ host: "api.test", kind: "response-scrub" }],
    unknown: [{ run_id: 1 }],
  },
  { run_id: "run-1", extra_headers: [{ host: "api.test", header_name: "Transfer_Encoding", value: "1" }] },
  { run_id: "run-1", credentials: [{ host: "api.test", header: "content_length", value: "500000" }] },
];
const WORDS = [
  ...["run_id", "auth_token", "credentials", "host", "header", "header_name", "value", "grants", "network_allow"],
  ...["api.test", "*.test", "*.com", "api.test:443", "127.0.0.1", "[::1]:443", "API.TEST.", "a b", "..", "run-3"],
  ...["Content-Length", "Host", "Connection", "Transfer_Encoding", "Proxy-Authorization", "X-Fine", "x\r\ny"],
  ...["allow", "deny", "ask", "GET", "/a/*", "/**", "policy_yaml", "aws_config", "mcp_servers", "a\r\nX: y", "\t"],
];

/** Bodies of `POST /v1/runs`: refused with a Problem, or of the one shape, with nothing that could end a line. */
export const target: FuzzTarget = {
  corpus: REGISTRATIONS.map((body) => Buffer.from(JSON.stringify(body))),
  generate: (random) => Buffer.from(JSON.stringify(mutateJson(REGISTRATIONS, WORDS, random)) ?? "null"),
  check: (input) => {
    const body: unknown = JSON.parse(input.toString());
    const read = unlessRefused(() => parseRegistration(body));
    if (read === undefined) return;
    same(parseRegistration(withKeys(body, (key) => key.toUpperCase())), read, "keys in capitals");
    match(read.runId, /^(?!\.\.?$)[A-Za-z0-9._-]{1,128}$/);
    for (const { name, value } of read.extraHeaders) checkLine(name, value);
    for (const { header, value } of [...read.credentials, ...read.slots]) checkLine(header, value);
  },
};

function checkLine(name: string, value: string): void {
  match(name, /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/);
  match(name, /^(?!(?:host|content[-_]length|transfer[-_]encoding|connection|te|trailer|upgrade|proxy[-_].*)$)/i);
  match(`${value}<end>`, /^[\t\x20-\x7e]*<end>$/);
}

function withKeys(value: unknown, rename: (key: string) => string): unknown {
  if (Array.isArray(value)) return value.map((one) => withKeys(one, rename));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [rename(key), withKeys(inner, rename)]));
}
