import { Problem } from "@gatehouse/core";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { confirmHost } from "../operator/confirm-host.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { describeNode } from "./nodes-ls.ts";

/**
 * Confirms a node. The fingerprint is computed here, from exactly the keys that go on the roster, and compared with what
 * the person read off the host: the server's word is not enough.
 */
export async function confirm(invocation: Invocation): Promise<number> {
  const typed = textOption(invocation, "fingerprint") ?? (await askFingerprint());
  const node = await asOperator(invocation.config.state.dir, (operator) =>
    confirmHost(operator, invocation.args[0] ?? "", typed),
  );
  if (isSet(invocation, "json")) printJson(describeNode(node));
  else printLine(`Confirmed ${shown(node.name)}. It is on the roster.`);
  return 0;
}

async function askFingerprint(): Promise<string> {
  if (process.stdin.isTTY !== true) throw new Problem("usage.invalid", { detail: "--fingerprint is needed here." });
  const [{ text }, { ask }] = await Promise.all([import("@clack/prompts"), import("../terminal/ask.ts")]);
  return ask((signal) => text({ message: "Fingerprint, as the host printed it", signal }), "Nothing was confirmed.");
}
