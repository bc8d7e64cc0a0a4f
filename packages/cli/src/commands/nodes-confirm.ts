import { Problem } from "@gatehouse/core";
import { type Invocation, isSet, listOption } from "../invocation.ts";
import type { ConfirmedHost, PrintedHost } from "../operator/compare-host.ts";
import { confirmHost, confirmHosts, type HostOutcome } from "../operator/confirm-hosts.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { describeNode } from "./nodes-ls.ts";

/**
 * Confirms nodes. Each fingerprint is computed here, from exactly the keys that go on the roster, and compared with what
 * the person read off that host: the server's word is not enough.
 */
export async function confirm(invocation: Invocation): Promise<number> {
  const hosts = await readHosts(invocation);
  const [first, ...others] = hosts;
  if (first === undefined) throw new Problem("usage.invalid", { detail: "Name a node." });
  const { dir } = invocation.config.state;
  if (others.length > 0) {
    const outcomes = await asOperator(dir, (operator) => confirmHosts(operator, hosts));
    return tellAll(outcomes, isSet(invocation, "json"));
  }
  const confirmed = await asOperator(dir, (operator) => confirmHost(operator, first.asked, first.fingerprint));
  if (isSet(invocation, "json")) printJson(describeNode(confirmed.node));
  else tell(confirmed);
  return 0;
}

/** The exit code is that of the first host that was not confirmed. */
function tellAll(outcomes: readonly HostOutcome[], isJson: boolean): number {
  const failed = outcomes.flatMap((outcome) => ("failure" in outcome ? [outcome] : []));
  const confirmed = outcomes.flatMap((outcome) => ("node" in outcome ? [outcome] : []));
  if (isJson) {
    const refused = failed.map(({ asked, failure: { code, message } }) => ({ node: asked, code, message }));
    printJson({ confirmed: confirmed.map(({ node }) => describeNode(node)), refused });
  } else {
    for (const one of confirmed) tell(one);
    for (const { asked, failure } of failed) printLine(`Not confirmed: ${shown(`${asked}: ${failure.message}`)}`);
  }
  return failed[0]?.failure.row.exit ?? 0;
}

function tell({ node, isRepeated }: ConfirmedHost): void {
  const name = shown(node.name);
  printLine(
    isRepeated ? `${name} is confirmed already. It is on the roster.` : `Confirmed ${name}. It is on the roster.`,
  );
}

/** Each host with its own fingerprint: a person compares every one, or a script says whose each is. */
async function readHosts(invocation: Invocation): Promise<readonly PrintedHost[]> {
  const names = invocation.args;
  if (new Set(names).size !== names.length) throw new Problem("usage.invalid", { detail: "A node is named twice." });
  const given = readFingerprints(listOption(invocation, "fingerprint"), names);
  const hosts: PrintedHost[] = [];
  for (const asked of names) {
    hosts.push({ asked, fingerprint: given.get(asked) ?? (await askFingerprint(asked, names.length > 1)) });
  }
  return hosts;
}

function readFingerprints(given: readonly string[], names: readonly string[]): ReadonlyMap<string, string> {
  const read = new Map<string, string>();
  for (const text of given) {
    const at = text.lastIndexOf("=");
    const [only, ...others] = names;
    if (at < 0 && others.length > 0) {
      throw new Problem("usage.invalid", {
        detail: "Of several nodes say whose it is: --fingerprint NODE=FINGERPRINT.",
      });
    }
    const name = at < 0 ? (only ?? "") : text.slice(0, at);
    if (!names.includes(name))
      throw new Problem("usage.invalid", { detail: `--fingerprint names ${name}, which is not asked for.` });
    if (read.has(name)) throw new Problem("usage.invalid", { detail: `--fingerprint is given twice for ${name}.` });
    read.set(name, text.slice(at + 1));
  }
  return read;
}

async function askFingerprint(asked: string, isOneOfSeveral: boolean): Promise<string> {
  if (process.stdin.isTTY !== true) {
    const detail = isOneOfSeveral
      ? `--fingerprint ${asked}=FINGERPRINT is needed here.`
      : "--fingerprint is needed here.";
    throw new Problem("usage.invalid", { detail });
  }
  const [{ text }, { ask }] = await Promise.all([import("@clack/prompts"), import("../terminal/ask.ts")]);
  const message = `Fingerprint${isOneOfSeveral ? ` of ${asked}` : ""}, as the host printed it`;
  return ask((signal) => text({ message, signal }), "Nothing was confirmed.");
}
