import { Problem } from "@gatehouse/core";
import type { SignedRoster } from "@gatehouse/kit";
import type { Operator } from "./open-operator.ts";

/**
 * The roster's own records of the named nodes. Which name is whose, this machine remembers from when it confirmed. Fails with
 * `nodes.not_found`, `server.untrusted`.
 */
export async function findNodes({ files, nodes }: Operator, roster: SignedRoster, names: readonly string[]) {
  const known = await files.nodeNames();
  return Promise.all(
    names.map(async (name) => {
      const { node } = await nodes.getNode({ node: name });
      const listed = roster.nodes.find(({ nodeId }) => nodeId === node?.id);
      if (listed === undefined) throw new Problem("nodes.not_found", { detail: `${name} is not on the roster.` });
      const remembered = known.get(node?.name ?? name);
      if (remembered !== undefined && remembered !== listed.nodeId) {
        throw new Problem("server.untrusted", {
          detail: `It shows another node as ${name} than the one confirmed here.`,
        });
      }
      return listed;
    }),
  );
}
