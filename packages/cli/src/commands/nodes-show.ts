import { auditKeyId, base64url, headAsJson } from "@gatehouse/core";
import { sha256 } from "@gatehouse/kit";
import type { GetNodeResponse } from "@gatehouse/wire";
import { type Invocation, isSet } from "../invocation.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";
import { sayLabels } from "../terminal/read-labels.ts";
import { describeNode } from "./nodes-ls.ts";

/** Shows one node: what it serves, what waits there, and how far its audit log was witnessed. */
export async function showNode(invocation: Invocation): Promise<number> {
  const [name = ""] = invocation.args;
  const found = await asOperator(invocation.config.state.dir, ({ nodes }) => nodes.getNode({ node: name }));
  const node = found.node && describeNode(found.node);
  const log = describeLog(found);
  if (isSet(invocation, "json")) printJson({ ...node, audit_log: log });
  else {
    const own = node === undefined ? {} : { ...node, labels: sayLabels(node.labels, "-") };
    for (const [title, value] of [...rowsOf(own), ...logRows(found)]) printRow(title, value);
  }
  return 0;
}

/**
 * The newest head that the server saw of the node's own log, signed by the node: `audit verify --earlier` holds a log
 * against it. `null`: it said none yet.
 */
function describeLog({ audit, identityKey }: GetNodeResponse): object | null {
  if (audit === undefined) return null;
  const { log, root, signature } = audit;
  const head = { root, signature, size: Number(audit.size), time: Number(audit.time) };
  return {
    log,
    key: base64url(identityKey),
    head: headAsJson({ ...head, keyId: auditKeyId(sha256, identityKey) }),
    copied: Number(audit.copiedSize),
    countersigned: Number(audit.countersignedSize),
  };
}

type Row = readonly [title: string, value: unknown];

/** Of a head, what it covers: its signature is for programs. */
function logRows(found: GetNodeResponse): readonly Row[] {
  if (found.audit === undefined) return [];
  const { root, size, time } = found.audit;
  const head = `${size} entries at ${new Date(Number(time)).toISOString()}, root ${base64url(root)}`;
  return rowsOf({ ...describeLog(found), head }, "audit ");
}

function rowsOf(said: object, before = ""): readonly Row[] {
  return Object.entries(said).map(([name, value]) => [`${before}${name.replaceAll("_", " ")}`, value]);
}

function printRow(title: string, value: unknown): void {
  const text = typeof value === "object" && value !== null ? JSON.stringify(value) : String(value ?? "-");
  printLine(`${title.padEnd(20)} ${shown(text)}`);
}
