import { resolve } from "node:path";
import { base64url, Problem } from "@gatehouse/core";
import { exportLog, openLogSource, type VerifiedLog } from "@gatehouse/kit";
import { exportFromServer } from "../audit/export-from-server.ts";
import { signHead } from "../audit/sign-head.ts";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";

/** Writes an audit log as one file that anyone can verify: the organisation's for an operator, else this node's own. */
export async function exportAudit(invocation: Invocation): Promise<number> {
  const out = textOption(invocation, "out");
  if (out === undefined) throw new Problem("usage.invalid", { detail: "--out names the file to write." });
  const { log, key, head, unprotected } = await exportTo(resolve(out), invocation);
  const { size } = head;
  if (isSet(invocation, "json")) {
    const exported = { log, key: base64url(key), entries: size, root: base64url(head.root) };
    printJson({ out, ...exported, time: new Date(head.time).toISOString(), left_out: unprotected });
    return 0;
  }
  printLine(`Exported ${size} entries of log ${shown(log)} to ${out}.`);
  printLine(`Signed by ${base64url(key)}.`);
  if (unprotected > 0)
    printLine(`Left out: ${unprotected} entries behind the last head. Start the daemon, then export.`);
  return 0;
}

async function exportTo(path: string, invocation: Invocation): Promise<VerifiedLog> {
  const stateDir = invocation.config.state.dir;
  const node = textOption(invocation, "node");
  if (await OperatorFiles.isOperators(stateDir)) return exportFromServer(stateDir, { path, node });
  if (node !== undefined) throw new Problem("org.not_joined");
  await signHead(invocation.socketPath);
  return exportLog(await openLogSource(stateDir), path);
}
