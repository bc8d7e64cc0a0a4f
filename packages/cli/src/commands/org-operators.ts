import { base64url, constantTimeEqual, fromBase64url, Problem } from "@gatehouse/core";
import { writeRosterMessage } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { sealedBy } from "../operator/sealed-by.ts";
import { signRoster } from "../operator/sign-roster.ts";
import { trustRoster } from "../operator/trusted-roster.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";

const KEY_BYTES = 32;

/** Prints the key that this machine signs with, for whoever has the organisation's key. Asks nobody. */
export async function operatorKey(invocation: Invocation): Promise<number> {
  const files = await OperatorFiles.open(invocation.config.state.dir);
  const key = base64url((await files.openOperatorKey()).publicKey);
  if (isSet(invocation, "json")) printJson({ operator_key: key });
  else printLine(key);
  return 0;
}

/** Lists the operator keys of the roster, as it was proven. */
export async function listOperators(invocation: Invocation): Promise<number> {
  return asOperator(invocation.config.state.dir, async (operator) => {
    const { operatorKeys } = await trustRoster(await operator.org.getOrg({}), operator);
    const own = await operator.files.openOperatorKey();
    const listed = operatorKeys.map((key) => {
      return { operator_key: base64url(key), is_this_machine: constantTimeEqual(key, own.publicKey) };
    });
    if (isSet(invocation, "json")) printJson(listed);
    else {
      const rows = listed.map((one) => [one.operator_key, one.is_this_machine ? "this machine" : "-"]);
      printTable(["KEY", "WHOSE"], rows);
    }
    return 0;
  });
}

/** Lets another operator's machine seal credentials and order nodes to seal them onward. By the organisation's key alone. */
export function certify(invocation: Invocation): Promise<number> {
  return changeKeys(invocation, "certified", async (keys, key) => [...without(keys, key), key]);
}

/**
 * Ends what an operator's machine may sign. What it sealed would count no more on any node, so that it must be sealed
 * anew first.
 */
export function decertify(invocation: Invocation): Promise<number> {
  return changeKeys(invocation, "decertified", async (keys, key, operator) => {
    await refuseInUse(operator, key);
    return without(keys, key);
  });
}

type Keys = readonly Uint8Array[];

async function changeKeys(
  invocation: Invocation,
  done: string,
  next: (keys: Keys, key: Uint8Array, operator: Operator) => Promise<Keys>,
): Promise<number> {
  const text = invocation.args[0] ?? "";
  const key = fromBase64url(text);
  if (key?.length !== KEY_BYTES) {
    throw new Problem("usage.invalid", { detail: "A key is what gatehouse org operator-key prints there." });
  }
  return asOperator(invocation.config.state.dir, async (operator) => {
    const orgKey = await operator.files.requireOrgKey();
    const shown = await operator.org.getOrg({});
    const before = await trustRoster(shown, operator);
    const operatorKeys = await next(before.operatorKeys, key, operator);
    const isChanged = operatorKeys.length !== before.operatorKeys.length;
    if (isChanged) {
      const struck = new Set(shown.struckNodeIds);
      const nodes = before.nodes.filter(({ nodeId }) => !struck.has(nodeId));
      const own = { ...before, version: before.version + 1, issuedAt: Date.now(), nodes, operatorKeys };
      const signed = signRoster(own, orgKey);
      await operator.org.putRoster({ roster: writeRosterMessage(signed) });
      await operator.files.saveRoster(signed);
    }
    if (isSet(invocation, "json")) printJson({ operator_key: text, state: done, changed: isChanged });
    else printLine(`${text} is ${done}.`);
    return 0;
  });
}

function without(keys: Keys, key: Uint8Array): Keys {
  return keys.filter((one) => !constantTimeEqual(one, key));
}

async function refuseInUse(operator: Operator, key: Uint8Array): Promise<void> {
  const signed = await sealedBy(operator, [key]);
  if (signed.length === 0) return;
  const detail = `It sealed ${signed.join(", ")}: seal those anew first (gatehouse credentials add NAME --replace).`;
  throw new Problem("roster.key_in_use", { detail });
}
