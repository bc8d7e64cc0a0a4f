import { Problem } from "@gatehouse/core";
import { type Invocation, isSet } from "../invocation.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { readLabelChange, sayLabels } from "../terminal/read-labels.ts";

/** Sets labels of a node (`key=value`) and takes others away (`key-`), all at once. */
export function label(invocation: Invocation): Promise<number> {
  const [asked = "", ...words] = invocation.args;
  const { set, removed } = readLabelChange(words);
  return asOperator(invocation.config.state.dir, async ({ nodes }) => {
    const { node } = await nodes.getNode({ node: asked });
    if (node === undefined) throw new Problem("nodes.not_found");
    const { id, name } = node;
    const { labels } = await nodes.labelNode({ nodeId: id, labels: set, removedLabels: [...removed] });
    if (isSet(invocation, "json")) printJson({ id, name, labels });
    else printLine(`${shown(name)} has ${shown(sayLabels(labels, "no labels"))}.`);
    return 0;
  });
}
