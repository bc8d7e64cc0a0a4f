import type { ListNodesRequest, Node, Run } from "@gatehouse/wire";
import type { Operator } from "./open-operator.ts";

interface Page<T> {
  readonly items: readonly T[];
  readonly nextPageToken: string;
}

const PAGE = 2_500;

/** Every node that a filter lets through, in the order of their names. */
export function allNodes(
  { nodes }: Pick<Operator, "nodes">,
  filter: Partial<Pick<ListNodesRequest, "labels" | "nameContains" | "state">> = {},
): Promise<readonly Node[]> {
  return readAll(async (pageToken) => {
    const { nodes: items, nextPageToken } = await nodes.listNodes({ ...filter, pageToken, pageSize: PAGE });
    return { items, nextPageToken };
  });
}

/** Every run of the organisation, or of a node, the newest first; those too that have ended. */
export function allRuns({ nodes }: Pick<Operator, "nodes">, nodeId: string): Promise<readonly Run[]> {
  return readAll(async (pageToken) => {
    const asked = { nodeId, includeExited: true, pageToken, pageSize: PAGE };
    const { runs: items, nextPageToken } = await nodes.listRuns(asked);
    return { items, nextPageToken };
  });
}

async function readAll<T>(read: (pageToken: string) => Promise<Page<T>>): Promise<readonly T[]> {
  const found: T[] = [];
  let token = "";
  do {
    const page = await read(token);
    found.push(...page.items);
    token = page.nextPageToken;
  } while (token !== "");
  return found;
}
