import type { CompiledRule } from "./compile-rules.ts";
import type { HostPattern } from "./host-pattern.ts";

/** One host pattern of a rule, and where the rule stands. */
interface IndexedHost {
  readonly order: number;
  readonly rule: CompiledRule;
  readonly pattern: HostPattern;
  /** The pattern's own port, or the rule's; absent = every port. */
  readonly ports: readonly number[] | undefined;
}

type OrderedHosts = readonly IndexedHost[];

/** The rules that name one host, and the same ones by the first segment of their paths. */
interface HostLists {
  readonly all: IndexedHost[];
  /** Those that may match whatever a path begins with. */
  readonly general: IndexedHost[];
  /** By the segment in lower case. */
  readonly byFirstSegment: Map<string, IndexedHost[]>;
}

/** Rules by hosts and first path segments, so that a thousand rules about other things cost a request nothing. */
export class RuleIndex {
  readonly #byHost = new Map<string, HostLists>();
  readonly #bySuffix = new Map<string, HostLists>();
  readonly #everywhere: HostLists = emptyLists();

  constructor(rules: readonly CompiledRule[]) {
    for (const [order, rule] of rules.entries()) {
      for (const pattern of rule.hosts) {
        const ports = pattern.port === undefined ? rule.ports : [pattern.port];
        addTo(this.#listsFor(pattern), { order, rule, pattern, ports });
      }
    }
  }

  /**
   * Walks the rules about a normalised host and a port, in order; with a first path segment, those alone that can
   * match it in some case.
   */
  about(host: string, port: number, segment?: string): RuleWalk {
    const firstSegment = segment?.toLowerCase();
    let found = select(this.#everywhere, firstSegment);
    found = merge(found, select(this.#byHost.get(host), firstSegment));
    if (this.#bySuffix.size > 0) {
      for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
        found = merge(found, select(this.#bySuffix.get(host.slice(dot)), firstSegment));
      }
    }
    return new RuleWalk(found, port);
  }

  #listsFor({ kind, host }: HostPattern): HostLists {
    if (kind === "any") return this.#everywhere;
    const byName = kind === "exact" ? this.#byHost : this.#bySuffix;
    const lists = byName.get(host) ?? emptyLists();
    byName.set(host, lists);
    return lists;
  }
}

function emptyLists(): HostLists {
  return { all: [], general: [], byFirstSegment: new Map() };
}

function addTo({ all, general, byFirstSegment }: HostLists, indexed: IndexedHost): void {
  all.push(indexed);
  const firsts = firstSegments(indexed.rule);
  if (firsts === undefined) general.push(indexed);
  for (const first of firsts ?? []) {
    const list = byFirstSegment.get(first) ?? [];
    list.push(indexed);
    byFirstSegment.set(first, list);
  }
}

/**
 * What the rule's paths begin with, in lower case. A `hostRules` entry is chosen by its host, so that none of its rules
 * is skipped.
 */
function firstSegments({ paths, entry }: CompiledRule): ReadonlySet<string> | undefined {
  if (paths === undefined || entry !== undefined) return undefined;
  const firsts = paths.map(({ segments }) => segments[0]);
  if (!firsts.every((first) => typeof first === "string")) return undefined;
  return new Set(firsts.map((first) => first.toLowerCase()));
}

function select(lists: HostLists | undefined, firstSegment: string | undefined): OrderedHosts {
  if (lists === undefined) return [];
  if (firstSegment === undefined) return lists.all;
  return merge(lists.general, lists.byFirstSegment.get(firstSegment) ?? []);
}

/** Copies only where both hold something, which is rare. */
function merge(a: OrderedHosts, b: OrderedHosts): OrderedHosts {
  if (b.length === 0) return a;
  return a.length === 0 ? b : [...a, ...b].sort((one, other) => one.order - other.order);
}

/** Gives the rules about one host and port, and keeps to the first `hostRules` entry that matched. */
export class RuleWalk {
  readonly #hosts: OrderedHosts;
  readonly #port: number;
  #position = 0;
  #entry: number | undefined;

  constructor(hosts: OrderedHosts, port: number) {
    this.#hosts = hosts;
    this.#port = port;
  }

  /** The next rule whose host and port match, with the pattern that did; a rule may come once for each of its hosts. */
  next(): IndexedHost | undefined {
    while (this.#position < this.#hosts.length) {
      const found = this.#hosts[this.#position];
      this.#position += 1;
      if (found === undefined || found.ports?.includes(this.#port) === false) continue;
      if (this.#isOfChosenEntry(found.rule)) return found;
    }
    return undefined;
  }

  #isOfChosenEntry({ entry }: CompiledRule): boolean {
    if (entry === undefined) return true;
    this.#entry ??= entry;
    return this.#entry === entry;
  }
}
