import { type Invocation, isSet } from "../invocation.ts";
import { asOperator } from "../operator/open-operator.ts";
import { resealCredential } from "../operator/reseal-credential.ts";
import { findNodes } from "../operator/roster-nodes.ts";
import { trustRoster } from "../operator/trusted-roster.ts";
import { printJson, printLine } from "../terminal/print.ts";

/**
 * Hands over from one node to another: labels, and each credential, sealed to the second and no longer to the first,
 * which admits no new run from then on. The first one seals them onward itself, also where the organisation's key lies
 * here: which it can open, the server alone says. Interrupted anywhere, the same command goes on.
 */
export async function transfer(invocation: Invocation): Promise<number> {
  const [first = "", second = ""] = invocation.args;
  return asOperator(invocation.config.state.dir, async (operator) => {
    const roster = await trustRoster(await operator.org.getOrg({}), operator);
    const [from] = await findNodes(operator, roster, [first]);
    const to = await findNodes(operator, roster, [second]);
    const ids = { fromNodeId: from?.nodeId ?? "", toNodeId: to[0]?.nodeId ?? "" };
    const { resealPending } = await operator.nodes.transferNode(ids);
    for (const name of resealPending) await resealCredential(operator, { name, roster, to, from });
    if (isSet(invocation, "json")) printJson({ from: first, to: second, credentials: resealPending });
    else {
      printLine(
        `${second} has the labels of ${first} now, and its credentials: ${resealPending.join(", ") || "none"}.`,
      );
      printLine(`${first} is cordoned; its runs stay. Next: gatehouse nodes drain ${first}`);
    }
    return 0;
  });
}
