import { readFile } from "node:fs/promises";
import { base64url, fromBase64url, Problem, toProblem } from "@gatehouse/core";
import { openLogSource, type VerifiedLog, verifyLog } from "@gatehouse/kit";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Checks an export, or a log where it is written. Asks nobody. Ends with 4 when it is not what was signed. */
export async function verifyAudit(invocation: Invocation): Promise<number> {
  const isJson = isSet(invocation, "json");
  const path = invocation.args[0] ?? invocation.config.state.dir;
  const keyFile = textOption(invocation, "key");
  const pinned = keyFile === undefined ? undefined : await readKey(keyFile);
  try {
    const earlier = textOption(invocation, "earlier");
    const before = earlier === undefined ? undefined : await verifyLog(await openLogSource(earlier), pinned);
    const verified = await verifyLog(await openLogSource(path), pinned, before);
    const trust = pinned === undefined ? "unpinned" : "pinned";
    if (isJson) printJson(asJson(verified, trust));
    else printVerified(verified, trust);
    return 0;
  } catch (failure) {
    const { code, detail, row } = toProblem(failure);
    if (!isJson || code !== "audit.tampered") throw failure;
    printJson({ ok: false, code, detail });
    return row.exit;
  }
}

function asJson({ log, key, entries, heads, unprotected, head }: VerifiedLog, trust: string): object {
  return {
    ok: true,
    log,
    key: base64url(key),
    trust,
    entries,
    heads,
    unprotected,
    head: { size: head.size, root: base64url(head.root), time: new Date(head.time).toISOString() },
    witnesses: 0,
  };
}

function printVerified({ log, key, entries, heads, unprotected, head }: VerifiedLog, trust: string): void {
  printLine(`Log ${log}: ${head.size} entries are what was signed (${heads} heads, no witness).`);
  printLine(`The last head is of ${new Date(head.time).toISOString()}, signed by ${base64url(key)}.`);
  if (unprotected > 0)
    printLine(`Entries ${head.size} to ${entries - 1} came after it: nothing signed protects them yet.`);
  if (trust === "unpinned") {
    printLine(
      "trust: unpinned. The key is the log's own; whoever wrote the log could have made it. Compare it, or give --key.",
    );
  }
}

/** A file with one line, the base64url of 32 bytes. */
async function readKey(path: string): Promise<Uint8Array> {
  const text = await readFile(path, "utf8").catch((cause: unknown) => {
    throw new Problem("usage.invalid", { detail: `${path} cannot be read.`, cause });
  });
  const key = fromBase64url(text.trim());
  if (key?.length !== 32)
    throw new Problem("usage.invalid", { detail: `${path} holds no base64url line of 32 bytes.` });
  return key;
}
