import { resolve } from "node:path";
import { base64url, Problem } from "@gatehouse/core";
import { exportLog, openLogSource } from "@gatehouse/kit";
import { signHead } from "../audit/sign-head.ts";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Writes the node's audit log as one file that anyone can verify. */
export async function exportAudit(invocation: Invocation): Promise<number> {
  const out = textOption(invocation, "out");
  if (out === undefined) throw new Problem("usage.invalid", { detail: "--out names the file to write." });
  await signHead(invocation.socketPath);
  const { log, key, head, unprotected } = await exportLog(
    await openLogSource(invocation.config.state.dir),
    resolve(out),
  );
  const { size } = head;
  if (isSet(invocation, "json")) {
    const exported = { log, key: base64url(key), entries: size, root: base64url(head.root) };
    printJson({ out, ...exported, time: new Date(head.time).toISOString(), left_out: unprotected });
    return 0;
  }
  printLine(`Exported ${size} entries of log ${log} to ${out}.`);
  printLine(`Signed by ${base64url(key)}.`);
  if (unprotected > 0)
    printLine(`Left out: ${unprotected} entries behind the last head. Start the daemon, then export.`);
  return 0;
}
