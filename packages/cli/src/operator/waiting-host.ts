import { Problem } from "@gatehouse/core";
import { Enrollment_State, type GetNodeResponse, type Node, NodeState } from "@gatehouse/wire";
import { shown } from "../terminal/print.ts";
import { allPages } from "./all-pages.ts";
import type { Operator } from "./open-operator.ts";

/** A host that waits to be confirmed, as the server shows it. */
export interface WaitingHost extends GetNodeResponse {
  readonly node: Node;
  readonly nodeId: string;
  /** The name that it asked for. Until a replacement is confirmed, the node that it replaces still has it. */
  readonly name: string;
}

/**
 * The host that waits under a name or id, be it to take over from the node that has the name. Fails with
 * `enroll.not_waiting`, `nodes.not_found`.
 */
export async function findWaitingHost(operator: Pick<Operator, "nodes">, asked: string): Promise<WaitingHost> {
  const { nodes } = operator;
  const found = await nodes.getNode({ node: asked });
  const waiting = found.enrollmentId === "" ? await findReplacement(operator, found) : found;
  const { node, replacesNodeId } = waiting;
  if (node === undefined || waiting.enrollmentId === "") throw new Problem("enroll.not_waiting");
  if (replacesNodeId === "") return { ...waiting, node, nodeId: node.id, name: node.name };
  const name = (await nodes.getNode({ node: replacesNodeId })).node?.name ?? "";
  return { ...waiting, node, nodeId: node.id, name };
}

function notWaiting(node: Node | undefined): Problem {
  const isNode = node?.state === NodeState.CONFIRMED;
  return new Problem("enroll.not_waiting", isNode ? { detail: `${shown(node.name)} is confirmed already.` } : {});
}

async function findReplacement({ nodes }: Pick<Operator, "nodes">, { node: old }: GetNodeResponse) {
  const enrollments = await allPages(nodes.listEnrollmentCodes, (page) => page.enrollments);
  const [first, ...others] = enrollments.filter(
    ({ state, replacesNodeId }) => state === Enrollment_State.AWAITING_CONFIRMATION && replacesNodeId === old?.id,
  );
  if (first === undefined) throw notWaiting(old);
  if (others.length === 0) return nodes.getNode({ node: first.nodeId });
  throw new Problem("usage.invalid", {
    detail: "Several hosts wait to replace it. Name the right one by its id (gatehouse nodes codes), or cancel others.",
  });
}
