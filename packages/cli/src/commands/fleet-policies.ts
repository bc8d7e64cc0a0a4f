import { Problem, toHex } from "@gatehouse/core";
import type { Policy } from "@gatehouse/wire";
import { stringify } from "yaml";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { allPages } from "../operator/all-pages.ts";
import { asOperator, type Operator } from "../operator/open-operator.ts";
import { readFleetPolicy } from "../policy/fleet-policy.ts";
import { printJson, printLine, printTable } from "../terminal/print.ts";
import { readLabels, sayLabels } from "../terminal/read-labels.ts";

/** What a policy without labels holds. */
const EVERY_NODE = "every node";

/** Lists the policies of the organisation. */
export async function listPolicies(invocation: Invocation): Promise<number> {
  const policies = await call(invocation, (own) => allPages(own.listPolicies, (page) => page.policies));
  const rows = policies.map(describe);
  if (isSet(invocation, "json")) printJson(rows);
  else if (rows.length === 0) printLine("No policies. Put one: gatehouse policy apply NAME FILE");
  else {
    const cells = rows.map((row) => [
      row.name,
      `${row.version}`,
      sayLabels(row.labels, EVERY_NODE),
      row.changed_at,
      row.changed_by,
    ]);
    printTable(["NAME", "VERSION", "HOLDS", "CHANGED", "BY"], cells);
  }
  return 0;
}

/** Prints a policy as a file that `apply` takes. */
export async function showPolicy(invocation: Invocation): Promise<number> {
  const version = readVersion(textOption(invocation, "version")) ?? 0n;
  const { policy } = await call(invocation, (own) => own.getPolicy({ name: nameOf(invocation), version }));
  if (policy === undefined) throw new Problem("policies.not_found");
  const document = JSON.parse(new TextDecoder().decode(policy.policy)) as unknown;
  if (isSet(invocation, "json")) printJson({ ...describe(policy), policy: document });
  else process.stdout.write(stringify(document, { lineWidth: 0 }));
  return 0;
}

/** Puts the next version of a policy; the file is checked here before anything is sent. */
export async function applyPolicy(invocation: Invocation): Promise<number> {
  const name = nameOf(invocation);
  const policy = await readFleetPolicy(invocation.args[1] ?? "-");
  const expectedVersion = readVersion(textOption(invocation, "expect"));
  const expected = expectedVersion === undefined ? {} : { expectedVersion };
  const { version, changed } = await call(invocation, (own) => own.putPolicy({ name, policy, ...expected }));
  if (isSet(invocation, "json")) printJson({ name, version: Number(version), changed });
  else if (changed) printLine(`Version ${version} of ${name} holds now; connected nodes take it at once.`);
  else printLine(`Version ${version} of ${name} is the same policy: nothing was changed.`);
  return 0;
}

/** Lists the versions of a policy, also of one that was deleted. */
export async function policyHistory(invocation: Invocation): Promise<number> {
  const name = nameOf(invocation);
  const versions = await call(invocation, (own) =>
    allPages(
      (page) => own.listPolicyVersions({ name, ...page }),
      (page) => page.versions,
    ),
  );
  const rows = versions.map(({ version, changedAt, changedBy, policySha256 }) => ({
    version: Number(version),
    changed_at: toTime(changedAt),
    changed_by: changedBy,
    sha256: toHex(policySha256),
  }));
  if (isSet(invocation, "json")) printJson(rows);
  else {
    const cells = rows.map((row) => [`${row.version}`, row.changed_at, row.changed_by, row.sha256.slice(0, 16)]);
    printTable(["VERSION", "CHANGED", "BY", "SHA-256"], cells);
  }
  return 0;
}

/** Says which nodes a policy holds. */
export async function assignPolicy(invocation: Invocation): Promise<number> {
  const name = nameOf(invocation);
  const labels = readLabels(listOption(invocation, "label"));
  if ((Object.keys(labels).length === 0) !== isSet(invocation, "all")) {
    throw new Problem("usage.invalid", { detail: "Give --label, or --all for every node." });
  }
  await call(invocation, (own) => own.assignPolicy({ name, labels }));
  if (isSet(invocation, "json")) printJson({ name, labels });
  else printLine(`${name} holds ${isSet(invocation, "all") ? EVERY_NODE : `each node with ${sayLabels(labels, "")}`}.`);
  return 0;
}

/** Takes a policy away. */
export async function deletePolicy(invocation: Invocation): Promise<number> {
  const name = nameOf(invocation);
  await call(invocation, (own) => own.deletePolicy({ name }));
  if (isSet(invocation, "json")) printJson({ name, deleted: true });
  else printLine(`${name} holds nothing any more.`);
  return 0;
}

function call<T>(invocation: Invocation, work: (policies: Operator["policies"]) => Promise<T>): Promise<T> {
  return asOperator(invocation.config.state.dir, ({ policies }) => work(policies));
}

function nameOf({ args: [name = ""] }: Invocation): string {
  return name;
}

function readVersion(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  if (/^[0-9]{1,15}$/.test(text)) return BigInt(text);
  throw new Problem("usage.invalid", { detail: "A version is a number." });
}

function describe({ name, version, labels, updatedAt, changedBy }: Policy) {
  return { name, version: Number(version), labels, changed_at: toTime(updatedAt), changed_by: changedBy };
}

function toTime(unixMs: bigint): string {
  return new Date(Number(unixMs)).toISOString();
}
