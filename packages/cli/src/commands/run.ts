import { type Invocation, textOption } from "../invocation.ts";

/** Runs a command in a sandbox, here or on a node of one's organisation. */
export async function run(invocation: Invocation): Promise<number> {
  const node = textOption(invocation, "node");
  if (node !== undefined) return (await import("./run-on-node.ts")).runOnNode(invocation, node);
  return (await import("./run-here.ts")).runHere(invocation);
}
