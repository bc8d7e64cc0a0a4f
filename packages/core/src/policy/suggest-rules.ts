import { classifyAddress } from "../destination/address.ts";
import { isIpAddress, normaliseHost } from "../destination/host.ts";
import { normalisePath } from "./path.ts";
import { parsePathPattern } from "./path-pattern.ts";
import type { PolicyRule } from "./policy-input.ts";

/** A recorded request that the gate refused. */
export interface RefusedRequest {
  readonly method: string;
  /** Without values of its query; of a tunnel, what CONNECT named. */
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly code: string | undefined;
  readonly rule: string | undefined;
}

/** A rule that allows requests that were seen, and no other. */
export interface SuggestedRule {
  readonly rule: PolicyRule;
  readonly requests: number;
  /** Only tunnels were seen: the rule lets them open, so that what is asked inside can be seen. */
  readonly opensTunnel: boolean;
}

/** Refusals for which no rule is proposed. */
export interface LeftOut {
  readonly what: string;
  readonly why: string;
  readonly requests: number;
}

export interface Suggestion {
  readonly rules: readonly SuggestedRule[];
  readonly leftOut: readonly LeftOut[];
}

interface Wanted {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  requests: number;
}

const MAX_URL = 2_048;
/** Names that lead to the machine itself or to what a cloud tells its machines. */
/** RFC 6761 §6.4: such names stand for none. `gatehouse doctor` asks for one. */
const NOWHERE = /(?:^|\.)invalid$/;
const NEVER = /^(?:localhost|.+\.localhost|metadata(?:\.google\.internal)?|instance-data(?:\..+)?|.+\.internal)$/;

/**
 * Turns refusals into rules. Only what no rule spoke of is proposed: what a rule denies is denied on purpose. Requests
 * are joined where the joined rule allows nothing that was not asked for, so that no rule is wider than what was seen.
 */
export function suggestRules(refused: readonly RefusedRequest[]): Suggestion {
  const wanted = new Map<string, Wanted>();
  const leftOut = new Map<string, LeftOut>();
  for (const request of refused) {
    const why = whyNot(request);
    const place = placeOf(request);
    if (why !== undefined) {
      const what = `${request.method} ${place}`;
      const key = JSON.stringify([what, why]);
      leftOut.set(key, { what, why, requests: (leftOut.get(key)?.requests ?? 0) + 1 });
      continue;
    }
    const method = request.method.toUpperCase();
    const path = method === "CONNECT" ? "" : pathOf(request.url);
    const key = JSON.stringify([place, method, path]);
    const known = wanted.get(key) ?? { host: place, method, path, requests: 0 };
    known.requests += 1;
    wanted.set(key, known);
  }
  return { rules: joinAll([...wanted.values()]), leftOut: [...leftOut.values()].sort(byRequests) };
}

function placeOf({ host, port }: RefusedRequest): string {
  if (host === "") return "without a host";
  // Without a port a rule would mean 80 beside 443.
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function whyNot(request: RefusedRequest): string | undefined {
  const { code, rule } = request;
  if (code === "gate.address_forbidden")
    return "its address was refused: only a rule of one's own that states its range (cidr) could allow it";
  if (code !== "gate.policy_denied") return `refused with ${code ?? "no code"}, which no rule changes`;
  if (rule !== "default") return `${rule ?? "a rule"} denies it on purpose`;
  return whyNotHost(request.host) ?? (request.method.toUpperCase() === "CONNECT" ? undefined : whyNotUrl(request.url));
}

function whyNotHost(host: string): string | undefined {
  if (normaliseHost(host) !== host) return "its host is none";
  if (NOWHERE.test(host)) return "its name stands for no host";
  if (NEVER.test(host)) return "it is this machine's own, or its cloud's";
  const kind = isIpAddress(host) === 0 ? "public" : classifyAddress(host);
  return kind === "public" ? undefined : `its address is ${kind.replace("_", "-")}`;
}

function whyNotUrl(url: string): string | undefined {
  if (url.length >= MAX_URL) return "its URL was too long to be recorded whole";
  const path = pathOf(url);
  const { ambiguity } = normalisePath(path);
  if (ambiguity !== undefined) return `its path can be read in two ways: ${ambiguity}`;
  return path.includes("*") || parsePathPattern(path) === undefined
    ? "its path cannot be written as a rule"
    : undefined;
}

function pathOf(url: string): string {
  const path = /^https?:\/\/[^/?]+([^?]*)/i.exec(url)?.[1] ?? "";
  return path === "" ? "/" : path;
}

/** A set of requests that is hosts × methods × paths. */
interface Block {
  readonly hosts: readonly string[];
  readonly methods: readonly string[];
  readonly paths: readonly string[];
  readonly requests: number;
}

function joinAll(wanted: readonly Wanted[]): readonly SuggestedRule[] {
  const seen = new Set(wanted.filter(({ method }) => method !== "CONNECT").map(({ host }) => host));
  const blocks = wanted
    .filter(({ method }) => method !== "CONNECT")
    .map(({ host, method, path, requests }) => ({ hosts: [host], methods: [method], paths: [path], requests }));
  // A tunnel whose inside was seen needs no rule of its own.
  const tunnels = wanted
    .filter(({ method, host }) => method === "CONNECT" && !seen.has(host))
    .map(({ host, requests }) => ({ hosts: [host], methods: ["HEAD"], paths: ["/"], requests }));
  const rulesOf = (some: readonly Block[], opensTunnel: boolean) =>
    join(join(join(some, "paths"), "methods"), "hosts").map((block) => ({
      rule: { action: "allow" as const, hosts: block.hosts, methods: block.methods, paths: block.paths },
      requests: block.requests,
      opensTunnel,
    }));
  return [...rulesOf(blocks, false).sort(byRequests), ...rulesOf(tunnels, true).sort(byRequests)];
}

/** Joins blocks that differ in one dimension alone: their union is a block again, and nothing wider. */
function join(blocks: readonly Block[], dimension: "hosts" | "methods" | "paths"): readonly Block[] {
  const joined = new Map<string, Block>();
  for (const block of blocks) {
    const key = JSON.stringify({ ...block, [dimension]: [], requests: 0 });
    const known = joined.get(key);
    const values = [...new Set([...(known?.[dimension] ?? []), ...block[dimension]])].sort();
    joined.set(key, { ...block, [dimension]: values, requests: (known?.requests ?? 0) + block.requests });
  }
  return [...joined.values()];
}

function byRequests(a: { readonly requests: number }, b: { readonly requests: number }): number {
  return b.requests - a.requests;
}
