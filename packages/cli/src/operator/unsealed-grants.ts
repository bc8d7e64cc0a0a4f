import { Problem } from "@gatehouse/core";
import type { CredentialSummary, Node } from "@gatehouse/wire";
import { allPages } from "./all-pages.ts";
import type { Operator } from "./open-operator.ts";

interface RefusedRun {
  readonly node: Pick<Node, "id" | "name">;
  readonly grants: readonly string[];
  readonly failure: unknown;
}

/** Why a node refused a run, and how the grants get there that it was asked for and that are not sealed to it. */
export async function withUnsealed(
  { credentials }: Pick<Operator, "credentials">,
  { node, grants, failure }: RefusedRun,
): Promise<unknown> {
  if (!(failure instanceof Problem) || failure.code !== "commands.refused" || grants.length === 0) return failure;
  // Who may start runs may not be let see this; what the node says is what counts.
  const sealed = await allPages(credentials.listCredentials, (page) => page.credentials).catch(() => undefined);
  const steps = sealed === undefined ? [] : grants.flatMap((name) => stepFor(name, node, sealed));
  if (steps.length === 0) return failure;
  const { code, detail = "", cause } = failure;
  return new Problem(code, { detail: [detail, ...steps].join(" "), cause });
}

function stepFor(name: string, node: RefusedRun["node"], sealed: readonly CredentialSummary[]): readonly string[] {
  const found = sealed.find((one) => one.name === name);
  if (found === undefined) {
    return [`The organisation has no credential called ${name}: gatehouse credentials ls shows those it has.`];
  }
  if (found.nodeIds.includes(node.id)) return [];
  return [`${name} is not sealed to ${node.name}: gatehouse credentials reseal ${name} --nodes ${node.name}.`];
}
