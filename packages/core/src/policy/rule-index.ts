import type { CompiledRule } from "./compile-rules.ts";
import type { HostPattern } from "./host-pattern.ts";

/** One host pattern of a rule, and where the rule stands. */
interface IndexedHost {
  readonly order: number;
  readonly rule: CompiledRule;
  readonly pattern: HostPattern;
  /** The pattern's own port, or the rule's. */
  readonly ports: readonly number[];
}

type OrderedHosts = readonly IndexedHost[];

/** Rules by the hosts that they name, so that a thousand rules about other hosts cost a request nothing. */
export class RuleIndex {
  readonly #byHost = new Map<string, IndexedHost[]>();
  readonly #bySuffix = new Map<string, IndexedHost[]>();
  readonly #everywhere: IndexedHost[] = [];

  constructor(rules: readonly CompiledRule[]) {
    for (const [order, rule] of rules.entries()) {
      for (const pattern of rule.hosts) {
        const ports = pattern.port === undefined ? rule.ports : [pattern.port];
        this.#listFor(pattern).push({ order, rule, pattern, ports });
      }
    }
  }

  /** Walks the rules about a normalised host and a port, in order. */
  about(host: string, port: number): RuleWalk {
    let found: OrderedHosts = merge(this.#everywhere, this.#byHost.get(host));
    if (this.#bySuffix.size > 0) {
      for (let dot = host.indexOf("."); dot >= 0; dot = host.indexOf(".", dot + 1)) {
        found = merge(found, this.#bySuffix.get(host.slice(dot)));
      }
    }
    return new RuleWalk(found, port);
  }

  #listFor({ kind, host }: HostPattern): IndexedHost[] {
    if (kind === "any") return this.#everywhere;
    const lists = kind === "exact" ? this.#byHost : this.#bySuffix;
    const list = lists.get(host) ?? [];
    lists.set(host, list);
    return list;
  }
}

/** Copies only where both hold something, which is rare. */
function merge(a: OrderedHosts, b: OrderedHosts | undefined): OrderedHosts {
  if (b === undefined || b.length === 0) return a;
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
      if (found?.ports.includes(this.#port) && this.#isOfChosenEntry(found.rule)) return found;
    }
    return undefined;
  }

  #isOfChosenEntry({ entry }: CompiledRule): boolean {
    if (entry === undefined) return true;
    this.#entry ??= entry;
    return this.#entry === entry;
  }
}
