import type { Clock } from "@gatehouse/core";
import type { Log } from "@gatehouse/kit";
import { LeakyBuckets } from "./leaky-buckets.ts";
import { SlowDownProblem } from "./slow-down-problem.ts";

/** What a node may have done for it that leaves something in the server's database. */
const ALLOWANCES = {
  /** Bytes of figures and events: two full spools of 64 MiB together, then far more than a node has to report. */
  reports: { burst: 128 * 1_048_576, perSecond: 32_768 },
  /** Sessions opened and API keys made, each an entry of the organisation's audit log. */
  sessions: { burst: 60, perSecond: 1 },
} as const;

/** Nodes that ended are among them too: beyond this all may be told of once more. */
const MAX_TOLD = 16_384;

export type BudgetName = keyof typeof ALLOWANCES;

export interface BudgetDeps {
  readonly clock: Pick<Clock, "monotonicMs">;
  readonly log: Pick<Log, "warn">;
  readonly counters: { countOverBudget(budget: BudgetName): void };
}

interface Spender {
  readonly orgId: string;
  readonly nodeId: string;
}

export type NodeBudgets = Readonly<Record<BudgetName, NodeBudget>>;

export function openNodeBudgets(deps: BudgetDeps): NodeBudgets {
  return { reports: new NodeBudget("reports", deps), sessions: new NodeBudget("sessions", deps) };
}

/**
 * Counts what succeeds for a node: a compromised one fills no disk that all organisations share, at more than this pace.
 * Each replica counts for itself: at several, a node has as many times the budget.
 */
export class NodeBudget {
  readonly #name: BudgetName;
  readonly #deps: BudgetDeps;
  readonly #spent: LeakyBuckets;
  /** Nodes whose refusals are in the log already. */
  readonly #told = new Set<string>();

  constructor(name: BudgetName, deps: BudgetDeps) {
    this.#name = name;
    this.#deps = deps;
    this.#spent = new LeakyBuckets(ALLOWANCES[name].perSecond / 1_000, deps.clock);
  }

  /** Fails with `server.busy` when nothing is left. */
  check({ orgId, nodeId }: Spender): void {
    const { burst, perSecond } = ALLOWANCES[this.#name];
    const level = this.#spent.level(nodeId);
    if (level <= burst / 2) this.#told.delete(nodeId);
    if (level <= burst - 1) return;
    this.#deps.counters.countOverBudget(this.#name);
    if (!this.#told.has(nodeId)) this.#deps.log.warn("node is over its budget", { orgId, nodeId, budget: this.#name });
    if (this.#told.size >= MAX_TOLD) this.#told.clear();
    this.#told.add(nodeId);
    throw new SlowDownProblem("server.busy", Math.ceil(((level - burst + 1) / perSecond) * 1_000));
  }

  spend({ nodeId }: Spender, amount = 1): void {
    this.#spent.fill(nodeId, amount);
  }
}
