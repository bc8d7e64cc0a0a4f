import { allNodes, allRuns } from "./all-pages.ts";
import type { Operator } from "./open-operator.ts";

/** A run of a node, as that reported it. */
export interface ReportedRun {
  readonly run_id: string;
  readonly node: string;
  readonly state: string;
  readonly agent: string;
  readonly project: string;
  readonly driver: string;
  readonly exposed: boolean;
  readonly grants: readonly string[];
  readonly created_at: string;
  readonly reported_at: string;
  readonly code?: number;
}

/** The runs of the organisation's nodes, or of one. Fails with `nodes.not_found`. */
export async function listReportedRuns(operator: Operator, node: string | undefined): Promise<readonly ReportedRun[]> {
  const nodeId = node === undefined ? "" : ((await operator.nodes.getNode({ node })).node?.id ?? "");
  const names = new Map((await allNodes(operator)).map(({ id, name }) => [id, name]));
  return (await allRuns(operator, nodeId)).map((run) => ({
    run_id: run.runId,
    node: names.get(run.nodeId) ?? run.nodeId,
    state: run.state,
    agent: run.agent,
    project: run.project,
    driver: run.driver,
    exposed: run.exposed,
    grants: run.grants,
    created_at: new Date(Number(run.createdAt)).toISOString(),
    reported_at: new Date(Number(run.reportedAt)).toISOString(),
    ...(run.state === "exited" ? { code: run.exitCode } : {}),
  }));
}
