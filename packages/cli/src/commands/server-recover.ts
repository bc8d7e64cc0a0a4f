import { systemClock, systemRandom } from "@gatehouse/core";
import { openDaemonLock, openStateDirectory } from "@gatehouse/kit";
import { recoverServer } from "@gatehouse/server";
import { buildInfo } from "../build-info.ts";
import { type Invocation, isSet, listOption } from "../invocation.ts";
import { storeLocation } from "../server/store-location.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Opens a new epoch with new working keys on a server that does not run. */
export async function recover(invocation: Invocation): Promise<number> {
  const state = await openStateDirectory(invocation.config.state.dir);
  const directory = await state.directory("server");
  await using _ = await openDaemonLock(directory, {
    pid: process.pid,
    proxy_port: 0,
    sock_path: "",
    started_at: new Date(systemClock.now()).toISOString(),
    commit: buildInfo().commit,
  });
  const store = await storeLocation(invocation, directory);
  const epoch = await recoverServer(
    { directory, store, auditFiles: listOption(invocation, "audit"), areKeysLeaked: isSet(invocation, "keysLeaked") },
    { clock: systemClock, random: systemRandom },
  );
  if (isSet(invocation, "json")) printJson({ epoch });
  else {
    printLine(
      `Epoch ${epoch} is open, with new keys. Codes and sessions of before are void; nodes follow by themselves.`,
    );
    printLine("Other servers on this database need a copy of server/keys/ and a restart.");
  }
  return 0;
}
