import { deepStrictEqual as same } from "node:assert";
import type { RandomNumber } from "@gatehouse/testbed";
import {
  type CompiledPolicy,
  compilePolicy,
  matchHostPattern,
  type NetworkPolicyInput,
  normalisePath,
  type PolicyRequest,
  type PolicyRule,
  parseHostPattern,
} from "../../../packages/core/src/index.ts";
import { type FuzzTarget, unlessRefused } from "../fuzz-target.ts";
import { mutateJson } from "../mutate-json.ts";

const POLICIES: readonly object[] = [
  { mode: "strict", rules: [{ action: "allow", hosts: ["api.test"], methods: ["GET"], paths: ["/a/*", "/b/**"] }] },
  {
    mode: "permissive",
    guards: [{ action: "deny", hosts: ["*.test"], paths: ["/private/**"], reason: "Closed." }],
    rules: [
      { action: "deny", hosts: ["*.api.test:8080", "127.0.0.1"], methods: ["POST", "*"] },
      { action: "allow", hosts: ["*"], ports: [80, 443, 8080], paths: ["/a/**/c"] },
      { action: "allow", hosts: ["sub.api.test"], ports: [443], cidr: ["10.0.0.0/8"] },
    ],
  },
  {
    name: "mine",
    hostRules: [
      { host: "api.test", rules: [{ action: "deny", method: "DELETE", pathPattern: "/**" }] },
      { host: "*.test", rules: [] },
      { host: "*", rules: [{ action: "allow", method: "", pathPattern: "/a" }] },
    ],
    allow: ["other.test:8080", "*.sub.api.test"],
    granted: ["api.test"],
  },
];
const HOSTS = ["api.test", "sub.api.test", "x.sub.api.test", "test", "other.test", "127.0.0.1", "::1", "apiXtest"];
const PORTS = [80, 443, 8080, 1];
const METHODS = ["GET", "get", "POST", "DELETE", "M-SEARCH"];
const SEGMENTS = [
  "a",
  "b",
  "c",
  "private",
  "a;x",
  "",
  ".",
  "..",
  "%61",
  "a%2fb",
  "%5c",
  "%25",
  "%zz",
  "\xe9",
  "*",
  "**",
];
const WORDS = [
  ...HOSTS,
  ...HOSTS.map((host) => `*.${host}`),
  ...METHODS,
  ...["*", "**", "*:443", "api.test:443", "allow", "deny", "ask", "strict", "permissive", "10.0.0.0/8", "::/0"],
  ...["rules", "guards", "hostRules", "allow", "granted", "hosts", "ports", "methods", "paths", "cidr", "reason"],
  ...SEGMENTS.map((segment) => `/${segment}`),
  ...SEGMENTS.map((segment) => `/a/${segment}/**`),
];
const REQUESTS_PER_POLICY = 12;

/** Policy documents: refused with a Problem, or decided as by going through the rules one by one. */
export const target: FuzzTarget = {
  corpus: POLICIES.map((policy) => Buffer.from(JSON.stringify(policy))),
  generate: (random) => Buffer.from(JSON.stringify(mutateJson(POLICIES, WORDS, random)) ?? "null"),
  check: (input, random) => {
    const written: unknown = JSON.parse(input.toString());
    const policy = unlessRefused(() => compilePolicy(written));
    if (policy === undefined) return;
    const stored: unknown = JSON.parse(JSON.stringify(policy.input));
    same(compilePolicy(stored).input, policy.input, "a stored policy is another one");
    for (let count = 0; count < REQUESTS_PER_POLICY; count += 1) checkDecision(policy, makeRequest(random));
  },
};

function checkDecision(policy: CompiledPolicy, request: PolicyRequest): void {
  const { action, rule } = policy.decide(request);
  same({ action, rule }, decideSlowly(policy.input, request), JSON.stringify(request));
  const { path, query } = normalisePath(request.path);
  const sent = policy.decide({ ...request, path: query === undefined ? path : `${path}?${query}` });
  same(sent.action, action, `${request.path} as it is sent`);
  if (action !== "allow") return;
  const tunnel = policy.decideConnect(request.host, request.port);
  same(tunnel.action, "allow", "a tunnel is refused though a request would be allowed");
}

function makeRequest(random: RandomNumber): PolicyRequest {
  const pick = <T>(from: readonly T[]): T => from[random(from.length)] as T;
  const path = Array.from({ length: random(4) }, () => pick(SEGMENTS)).join("/");
  const query = random(4) === 0 ? "?/private/x" : "";
  return { host: pick(HOSTS), port: pick(PORTS), method: pick(METHODS), path: `/${path}${query}` };
}

interface Decided {
  readonly action: string;
  readonly rule: string;
}

/** The rules in the order of the documents, without an index and without a compiler. */
function decideSlowly(policy: NetworkPolicyInput, request: PolicyRequest): Decided {
  for (const { name, rule, isGuard } of rulesInOrder(policy, request)) {
    const action = decideByRule(rule, request, isGuard);
    if (action !== undefined) return { action, rule: name };
  }
  return { action: policy.mode === "permissive" ? "allow" : "deny", rule: "default" };
}

interface NamedRule {
  readonly name: string;
  readonly rule: PolicyRule;
  readonly isGuard: boolean;
}

function rulesInOrder(policy: NetworkPolicyInput, request: PolicyRequest): readonly NamedRule[] {
  const { guards = [], hostRules = [], rules = [], allow = [], granted = [] } = policy;
  const named = (list: readonly PolicyRule[], name: string) =>
    list.map((rule, at) => ({ name: `${name}[${at}]`, rule, isGuard: name === "guards" }));
  const open = (host: string): PolicyRule => ({ action: "allow", hosts: [host] });
  const entry = hostRules.findIndex(({ host }) => coversHost({ hosts: [host] }, request));
  const { host = "", rules: ofHost = [] } = hostRules[entry] ?? {};
  const asRule = ({ action, method, pathPattern }: (typeof ofHost)[number]): PolicyRule => {
    return { action, hosts: [host], ports: [80, 443], methods: [method], paths: [pathPattern] };
  };
  const isOpen = entry >= 0 && ofHost.length === 0;
  return [
    ...named(guards, "guards"),
    ...named(ofHost.map(asRule), `host_rules[${entry}].rules`),
    ...(isOpen ? [{ name: `host_rules[${entry}]`, rule: open(host), isGuard: false }] : []),
    ...named(rules, "rules"),
    ...named(allow.map(open), "allow"),
    ...named(granted.map(open), "granted"),
  ];
}

function decideByRule(rule: PolicyRule, request: PolicyRequest, isGuard: boolean): string | undefined {
  if (!coversHost(rule, request)) return undefined;
  const methods = rule.methods ?? ["*"];
  if (!methods.includes("*") && !methods.includes(request.method.toUpperCase())) return undefined;
  const paths = rule.paths ?? ["**"];
  if (paths.some((path) => /^(?:\/?\*\*)(?:\/\*\*)*\/?$/.test(path))) return rule.action;
  const { path, ambiguity } = normalisePath(request.path);
  if (ambiguity !== undefined && !(isGuard && ambiguity === "encoded slash")) return "deny";
  const slashed = normalisePath(path.replaceAll(/%2f/gi, "/")).path;
  const readings = new Set([path, slashed]);
  return [...readings].some((one) => paths.some((pattern) => coversPath(segmentsOf(pattern), segmentsOf(one))))
    ? rule.action
    : undefined;
}

function coversHost(
  { hosts, ports, action }: Pick<PolicyRule, "hosts" | "ports"> & Partial<Pick<PolicyRule, "action">>,
  request: PolicyRequest,
): boolean {
  return hosts.some((host) => {
    const pattern = parseHostPattern(host);
    const isAnyPort = pattern.port !== undefined || (action === "deny" && ports === undefined);
    const fitsPort = isAnyPort || (ports ?? [80, 443]).includes(request.port);
    return fitsPort && matchHostPattern(pattern, request.host, request.port);
  });
}

function segmentsOf(path: string): readonly string[] {
  const segments = path.split("/").slice(1);
  return (segments.at(-1) === "" ? segments.slice(0, -1) : segments).map(decodeURIComponent);
}

function coversPath([first, ...pattern]: readonly string[], path: readonly string[]): boolean {
  if (first === undefined) return path.length === 0;
  if (first === "**") return path.some((_, at) => coversPath(pattern, path.slice(at))) || coversPath(pattern, []);
  const [segment, ...rest] = path;
  if (segment === undefined) return false;
  const fits = first === "*" || segment === first || segment.startsWith(`${first};`);
  return fits && coversPath(pattern, rest);
}
