import {
  type CompiledPolicy,
  compareSpecificity,
  compilePolicy,
  type HostPattern,
  matchHostPattern,
  matchPath,
  type PathPattern,
  type PolicyDecision,
  Problem,
  parseHostPattern,
  parsePathPattern,
} from "@gatehouse/core";
import { ALWAYS_FRESH, type Freshness } from "../fleet/freshness.ts";
import type { RequestHead } from "../http1/messages.ts";
import { cgiName, isForwarded } from "../pipeline/forwarded-fields.ts";
import { SoughtValues } from "../scrub/sought-values.ts";
import { type McpPlace, parseMcpServer } from "../snapshot/mcp-server.ts";
import type { HeaderSlot, Injection, RunSnapshot, Transformer } from "../snapshot/run-snapshot.ts";

/** An injection whose patterns are parsed once. */
interface CompiledInjection {
  readonly injection: Injection;
  readonly host: HostPattern;
  readonly paths: readonly PathPattern[] | undefined;
}

/** What one run does on one host and port; computed at the first request there and kept. */
export interface HostPlan {
  /** Most specific first. */
  readonly injections: readonly CompiledInjection[];
  readonly slots: readonly HeaderSlot[];
  readonly transformers: ReadonlySet<Transformer["kind"]>;
  /** The run has a value of its own for this host: nobody else's credential goes there. */
  readonly isGranted: boolean;
  readonly extraHeaders: readonly { readonly name: string; readonly value: string }[];
  readonly removedHeaders: ReadonlySet<string>;
  /** Bodies are scrubbed too: a grant applies here or was taken back, or the run's registration asks for it. */
  readonly isScrubbed: boolean;
}

/** What applies before the destination is known. */
export const NO_PLAN: HostPlan = {
  injections: [],
  slots: [],
  transformers: new Set(),
  isGranted: false,
  extraHeaders: [],
  removedHeaders: new Set(),
  isScrubbed: false,
};

const MAX_PLANS = 1_024;

/** A snapshot ready to serve requests. Replaced whole, never changed. */
export class CompiledRun {
  readonly snapshot: RunSnapshot;
  readonly freshness: Freshness;
  readonly policy: CompiledPolicy;
  readonly sought: SoughtValues;
  /** By name. */
  readonly mcpServers: ReadonlyMap<string, McpPlace>;
  readonly #injections: readonly CompiledInjection[];
  readonly #plans = new Map<string, HostPlan>();

  constructor(snapshot: RunSnapshot, freshness: Freshness = ALWAYS_FRESH) {
    this.snapshot = snapshot;
    this.freshness = freshness;
    this.policy = underCeilings(compilePolicy(snapshot.policy), (snapshot.ceilings ?? []).map(compilePolicy));
    this.sought = new SoughtValues(snapshot.scrub);
    this.mcpServers = new Map(snapshot.mcpServers.map((server) => [server.name, parseMcpServer(server)]));
    this.#injections = snapshot.injections
      .map((injection) => ({
        injection,
        host: parseHostPattern(injection.host),
        paths: injection.paths?.map(requirePathPattern),
      }))
      .sort((a, b) => compareSpecificity(a.host, b.host));
  }

  planFor(host: string, port: number): HostPlan {
    const key = `${host}:${port}`;
    const known = this.#plans.get(key);
    if (known !== undefined) return known;
    const plan = this.#plan(host, port);
    if (this.#plans.size >= MAX_PLANS) this.#plans.clear();
    this.#plans.set(key, plan);
    return plan;
  }

  #plan(host: string, port: number): HostPlan {
    const { extraHeaders, removeHeaders, scrubHosts } = this.snapshot;
    const slots = closest(this.snapshot.slots, host, port);
    const transformers = new Set(closest(this.snapshot.transformers, host, port).map(({ kind }) => kind));
    const names = closest(removeHeaders, host, port).map(({ name }) => cgiName(name.toLowerCase()));
    const injections = this.#injections.filter((one) => matchHostPattern(one.host, host, port));
    const isGranted = injections.length + slots.length > 0;
    const isStillScrubbed = scrubHosts.some((text) => matchHostPattern(parseHostPattern(text), host, port));
    return {
      injections,
      slots,
      transformers,
      isGranted,
      extraHeaders: closest(extraHeaders, host, port).filter(({ name }) => isForwarded(name.toLowerCase())),
      removedHeaders: new Set(names),
      isScrubbed: isGranted || transformers.has("response-scrub") || isStillScrubbed,
    };
  }
}

/** A policy that allows what each of the others allows too. They close, and open nothing. */
function underCeilings(own: CompiledPolicy, ceilings: readonly CompiledPolicy[]): CompiledPolicy {
  if (ceilings.length === 0) return own;
  const refusal = (decide: (policy: CompiledPolicy) => PolicyDecision) => {
    const found = ceilings.map(decide).find(({ action }) => action !== "allow");
    return found === undefined
      ? undefined
      : { ...found, reason: found.reason ?? "A policy of the organisation denies it." };
  };
  return {
    ...own,
    decide: (request) => refusal((policy) => policy.decide(request)) ?? own.decide(request),
    decideConnect: (host, port) =>
      refusal((policy) => policy.decideConnect(host, port)) ?? own.decideConnect(host, port),
  };
}

/** The entries of the most specific pattern that matches: those of `host:port` stand in place of those of `host`. */
function closest<T extends { readonly host: string }>(entries: readonly T[], host: string, port: number): readonly T[] {
  const matching = entries
    .map((entry) => ({ entry, pattern: parseHostPattern(entry.host) }))
    .filter(({ pattern }) => matchHostPattern(pattern, host, port))
    .sort((a, b) => compareSpecificity(a.pattern, b.pattern));
  return matching
    .filter(({ pattern }) => compareSpecificity(pattern, matching[0]?.pattern ?? pattern) === 0)
    .map(({ entry }) => entry);
}

/** What of a request decides which credentials it gets. */
interface MatchedRequest {
  readonly head: RequestHead;
  /** Normalised. */
  readonly path: string;
  readonly isTls: boolean;
}

/**
 * The injections that a request gets: for each header the most specific one whose method and path match. Of one
 * credential's headers those that the client fills, else the first.
 */
export function selectInjections(plan: HostPlan, { head, path, isTls }: MatchedRequest): readonly Injection[] {
  if (plan.injections.length === 0) return [];
  const byHeader = new Map<string, Injection>();
  for (const { injection, paths } of plan.injections) {
    const matches =
      (isTls || injection.allowCleartext) &&
      (injection.methods?.includes(head.method.toUpperCase()) ?? true) &&
      (paths?.some((pattern) => matchPath(pattern, path)) ?? true);
    if (matches && !byHeader.has(injection.header)) byHeader.set(injection.header, injection);
  }
  const selected = [...byHeader.values()];
  return selected.length < 2 ? selected : chooseHeaders(selected, head);
}

/** Services that take a key in either of two headers may refuse one that comes in both. */
function chooseHeaders(selected: readonly Injection[], { fields }: RequestHead): readonly Injection[] {
  const isFilled = ({ header }: Injection) => fields.some(({ lowerName }) => lowerName === header);
  return selected.filter((injection) => {
    if (injection.credential === undefined || isFilled(injection)) return true;
    const alternatives = selected.filter(({ credential }) => credential === injection.credential);
    return injection === alternatives[0] && !alternatives.some(isFilled);
  });
}

function requirePathPattern(text: string): PathPattern {
  const pattern = parsePathPattern(text);
  if (pattern === undefined) throw new Problem("grants.invalid", { detail: "A path pattern starts with /." });
  return pattern;
}
