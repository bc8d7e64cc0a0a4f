import type { CompiledRule } from "./compile-rules.ts";
import type { HostPattern } from "./host-pattern.ts";

/** One host pattern of a rule, and where the rule stands. */
interface IndexedHost {
  readonly order: number;
  readonly rule: CompiledRule;
  readonly pattern: HostPattern;
}

/** Rules by the hosts that they name, so that a thousand rules about other hosts cost a request nothing. */
export class RuleIndex {
  readonly #byHost = new Map<string, IndexedHost[]>();
  readonly #bySuffix = new Map<string, IndexedHost[]>();
  readonly #everywhere: IndexedHost[] = [];

  constructor(rules: readonly CompiledRule[]) {
    for (const [order, rule] of rules.entries()) {
      for (const pattern of rule.hosts) this.#listFor(pattern).push({ order, rule, pattern });
    }
  }

  /** Walks the rules about a normalised host and a port, in order. */
  about(host: string, port: number): RuleWalk {
    const lists = [this.#everywhere, this.#byHost.get(host) ?? []];
    if (this.#bySuffix.size > 0) {
      for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
        const list = this.#bySuffix.get(host.slice(dot));
        if (list !== undefined) lists.push(list);
      }
    }
    return new RuleWalk(
      lists.filter((list) => list.length > 0),
      port,
    );
  }

  #listFor({ kind, host }: HostPattern): IndexedHost[] {
    if (kind === "any") return this.#everywhere;
    const lists = kind === "exact" ? this.#byHost : this.#bySuffix;
    const list = lists.get(host) ?? [];
    lists.set(host, list);
    return list;
  }
}

/** Merges the ordered lists of one host, and keeps to the first `hostRules` entry that matched. */
export class RuleWalk {
  readonly #lists: readonly (readonly IndexedHost[])[];
  readonly #positions: number[];
  readonly #port: number;
  #entry: number | undefined;

  constructor(lists: readonly (readonly IndexedHost[])[], port: number) {
    this.#lists = lists;
    this.#positions = lists.map(() => 0);
    this.#port = port;
  }

  /** The next rule whose host and port match, with the pattern that did; a rule may come once for each of its hosts. */
  next(): IndexedHost | undefined {
    for (let found = this.#take(); found !== undefined; found = this.#take()) {
      const { rule, pattern } = found;
      if (pattern.port === undefined ? !rule.ports.includes(this.#port) : pattern.port !== this.#port) continue;
      if (rule.entry !== undefined) {
        this.#entry ??= rule.entry;
        if (this.#entry !== rule.entry) continue;
      }
      return found;
    }
    return undefined;
  }

  #take(): IndexedHost | undefined {
    let first: IndexedHost | undefined;
    let from = 0;
    for (let list = 0; list < this.#lists.length; list += 1) {
      const candidate = this.#lists[list]?.[this.#positions[list] ?? 0];
      if (candidate !== undefined && (first === undefined || candidate.order < first.order)) {
        first = candidate;
        from = list;
      }
    }
    if (first !== undefined) this.#positions[from] = (this.#positions[from] ?? 0) + 1;
    return first;
  }
}
