import { resolve } from "node:path";
import { systemClock, systemRandom } from "@gatehouse/core";
import { openStateDirectory } from "@gatehouse/kit";
import { createBackup, restoreBackup } from "@gatehouse/server";
import { type Invocation, isSet, listOption, textOption } from "../invocation.ts";
import { storeLocation } from "../server/store-location.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Writes rows and keys to one file; the server may run meanwhile. */
export async function backup(invocation: Invocation): Promise<number> {
  const state = await openStateDirectory(invocation.config.state.dir);
  const directory = state.file("server");
  const out = resolve(textOption(invocation, "out") ?? "");
  await createBackup({ directory, store: await storeLocation(invocation, directory), out }, systemClock);
  if (isSet(invocation, "json")) printJson({ file: out });
  else printLine(`Wrote ${out}. It holds the server's keys: whoever reads it can pass for the server.`);
  return 0;
}

/** Puts a server back where none is. */
export async function restore(invocation: Invocation): Promise<number> {
  const state = await openStateDirectory(invocation.config.state.dir);
  const directory = state.file("server");
  const location = await storeLocation(invocation, directory);
  const postgresUrl = location.kind === "postgres" ? location.url : undefined;
  const file = resolve(invocation.args[0] ?? "");
  const auditFiles = listOption(invocation, "audit");
  const given = { file, directory, postgresUrl, auditFiles };
  const epoch = await restoreBackup(given, { clock: systemClock, random: systemRandom });
  if (isSet(invocation, "json")) printJson({ epoch });
  else {
    printLine(`Restored, in epoch ${epoch}. Codes and sessions of before are void; nodes come back by themselves.`);
    printLine(
      auditFiles.length === 0
        ? "What was revoked after the backup was made must be revoked again."
        : "What the audit logs say was revoked is revoked again.",
    );
  }
  return 0;
}
