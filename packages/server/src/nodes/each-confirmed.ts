import type { Node, NodeRecords } from "./node-records.ts";

const PAGE = 1_000;

/** Every confirmed node of the organisation, a page at a time. */
export async function* eachConfirmed(nodes: Pick<NodeRecords, "list">): AsyncGenerator<Node> {
  let after: string | undefined;
  do {
    const page = await nodes.list({ state: "confirmed", limit: PAGE, after });
    yield* page;
    after = page.length < PAGE ? undefined : page.at(-1)?.name;
  } while (after !== undefined);
}
