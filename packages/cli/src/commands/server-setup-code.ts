import { systemClock, systemRandom } from "@gatehouse/core";
import { openStateDirectory } from "@gatehouse/kit";
import { createSetupCode } from "@gatehouse/server";
import { type Invocation, isSet } from "../invocation.ts";
import { storeLocation } from "../server/store-location.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Makes one more set-up code; the server may run meanwhile. It is shown once. */
export async function serverSetupCode(invocation: Invocation): Promise<number> {
  const state = await openStateDirectory(invocation.config.state.dir);
  const directory = state.file("server");
  const store = await storeLocation(invocation, directory);
  const code = await createSetupCode({ directory, store }, { clock: systemClock, random: systemRandom });
  if (isSet(invocation, "json")) printJson({ setup_code: code });
  else printLine(code);
  return 0;
}
