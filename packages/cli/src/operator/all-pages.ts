import type { ListNodesRequest, Node, Run } from "@gatehouse/wire";
import type { Operator } from "./open-operator.ts";

/** What asks for a page; its size is the server's own where it says none. */
interface Asked {
  readonly pageToken: string;
  readonly pageSize?: number;
}

const LONG_PAGE = 2_500;

/** Every node that a filter lets through, in the order of their names. */
export function allNodes(
  { nodes }: Pick<Operator, "nodes">,
  filter: Partial<Pick<ListNodesRequest, "labels" | "nameContains" | "state">> = {},
): Promise<readonly Node[]> {
  const listed = (page: Asked) => nodes.listNodes({ ...filter, ...page, pageSize: LONG_PAGE });
  return allPages(listed, ({ nodes: found }) => found);
}

/** Every run of the organisation, or of a node, the newest first; those too that have ended. */
export function allRuns({ nodes }: Pick<Operator, "nodes">, nodeId: string): Promise<readonly Run[]> {
  const listed = (page: Asked) => nodes.listRuns({ nodeId, includeExited: true, ...page, pageSize: LONG_PAGE });
  return allPages(listed, ({ runs }) => runs);
}

/** All that a server lists, page by page. */
export async function allPages<Answer extends { readonly nextPageToken: string }, T>(
  read: (page: Asked) => Promise<Answer>,
  itemsOf: (answer: Answer) => readonly T[],
): Promise<readonly T[]> {
  const found: T[] = [];
  let pageToken = "";
  do {
    const answer = await read({ pageToken });
    found.push(...itemsOf(answer));
    pageToken = answer.nextPageToken;
  } while (pageToken !== "");
  return found;
}
