import { base64url, headAsJson, Problem } from "@gatehouse/core";
import { openLogSource, proveEntry } from "@gatehouse/kit";
import { proveOnServer } from "../audit/prove-on-server.ts";
import { signHead } from "../audit/sign-head.ts";
import type { Invocation } from "../invocation.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Prints the proof that one entry is in the log that the last head covers: a few hundred bytes, whatever its length. */
export async function proveAudit(invocation: Invocation): Promise<number> {
  const [text = ""] = invocation.args;
  if (!/^(?:0|[1-9][0-9]{0,15})$/.test(text))
    throw new Problem("usage.invalid", { detail: "SEQ is an entry's number." });
  const stateDir = invocation.config.state.dir;
  if (await OperatorFiles.isOperators(stateDir)) {
    printLine(await proveOnServer(stateDir, Number(text)));
    return 0;
  }
  await signHead(invocation.socketPath);
  const { entry, path, head } = await proveEntry(await openLogSource(stateDir), Number(text));
  printJson({ entry, size: head.size, index: entry.seq, path: path.map(base64url), head: headAsJson(head) });
  return 0;
}
