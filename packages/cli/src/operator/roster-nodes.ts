import { Problem } from "@gatehouse/core";
import type { SignedRoster } from "@gatehouse/kit";
import type { Operator } from "./open-operator.ts";

type Listed = SignedRoster["nodes"][number];

/**
 * The roster's own records of nodes, by name or id. Which name is whose, this machine remembers from when it confirmed.
 * Fails with `nodes.not_found`, `server.untrusted`.
 */
export async function findNodes(
  { files, nodes }: Pick<Operator, "files" | "nodes">,
  roster: SignedRoster,
  asked: readonly string[],
): Promise<readonly Listed[]> {
  const known = await files.nodeNames();
  return Promise.all(
    asked.map(async (text) => {
      const listedAs = (id: string | undefined) => roster.nodes.find(({ nodeId }) => nodeId === id);
      // Whose id it is, the roster says itself.
      const byId = listedAs(text);
      if (byId !== undefined) return byId;
      const { node } = await nodes.getNode({ node: text });
      const listed = listedAs(node?.id);
      if (listed === undefined) throw new Problem("nodes.not_found", { detail: `${text} is not on the roster.` });
      if (node?.name !== text || isAnother(known, text, listed)) {
        throw new Problem("server.untrusted", {
          detail: `It shows another node as ${text} than the one of that name.`,
        });
      }
      return listed;
    }),
  );
}

/** Whether this machine knows another node by the name, or the node by another name. */
function isAnother(known: ReadonlyMap<string, string>, name: string, { nodeId }: Listed): boolean {
  const remembered = known.get(name);
  if (remembered !== undefined) return remembered !== nodeId;
  return [...known.values()].includes(nodeId);
}
