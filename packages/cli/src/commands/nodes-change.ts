import { systemClock } from "@gatehouse/core";
import type { Node } from "@gatehouse/wire";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { commandNode } from "../operator/command-node.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { readDuration } from "../terminal/read-duration.ts";

/** For runs that are stopped at the deadline. */
const STOP_WITHIN_MS = 30_000;

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

/** Admits no new run on a node, waits for its runs, and stops those that are left in the end. */
export function drain(invocation: Invocation): Promise<number> {
  const withinMs = readDuration(textOption(invocation, "within") ?? "10m", "--within");
  return change(invocation, "drained", async (operator, { id }) => {
    await operator.nodes.cordonNode({ nodeId: id, cordoned: true });
    const value = { deadline: BigInt(systemClock.now() + withinMs) };
    const graceMs = withinMs + STOP_WITHIN_MS;
    const { message } = await commandNode(operator, id, { kind: { case: "drain", value }, withinMs: graceMs });
    return { message };
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
