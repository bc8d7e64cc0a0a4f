import type { Node } from "@gatehouse/wire";
import { type Invocation, isSet } from "../invocation.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";

/** Ends a node. */
export function revokeNode(invocation: Invocation): Promise<number> {
  return change(invocation, "revoked", async ({ nodes }, { id }) => {
    const { rotationPending } = await nodes.revokeNode({ nodeId: id });
    return { rotation_pending: rotationPending };
  });
}

/** Admits no new run on a node. */
export function cordon(invocation: Invocation): Promise<number> {
  return change(invocation, "cordoned", async ({ nodes }, { id }) => {
    await nodes.cordonNode({ nodeId: id, cordoned: true });
    return {};
  });
}

/** Admits runs on a node again. */
export function uncordon(invocation: Invocation): Promise<number> {
  return change(invocation, "uncordoned", async ({ nodes }, { id }) => {
    await nodes.cordonNode({ nodeId: id, cordoned: false });
    return {};
  });
}

/** Ends a node's API keys and session; its next handshake brings a fresh key. */
export function rotateKey(invocation: Invocation): Promise<number> {
  return change(invocation, "given a fresh API key at its next handshake", async ({ nodes }, { id }) => {
    await nodes.rotateNodeApiKey({ nodeId: id });
    return { state: "rotated" };
  });
}

/** Ends a node's quarantine. */
export function accept(invocation: Invocation): Promise<number> {
  return change(invocation, "accepted", async ({ nodes }, { id }) => {
    await nodes.acceptNode({ nodeId: id });
    return {};
  });
}

async function change(
  invocation: Invocation,
  done: string,
  call: (operator: Operator, node: Pick<Node, "id" | "name">) => Promise<object>,
): Promise<number> {
  const asked = invocation.args[0] ?? "";
  return asOperator(invocation.config.state.dir, async (operator) => {
    const { node } = await operator.nodes.getNode({ node: asked });
    const { id = "", name = asked } = node ?? {};
    const more = await call(operator, { id, name });
    if (isSet(invocation, "json")) printJson({ id, name, state: done, ...more });
    else printLine(`${shown(name)} is ${done}.`);
    return 0;
  });
}
