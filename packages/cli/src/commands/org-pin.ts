import { Problem } from "@gatehouse/core";
import { type Invocation, isSet } from "../invocation.ts";
import { formatLoginPin } from "../operator/login-pin.ts";
import { OperatorFiles } from "../operator/operator-files.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Prints what another person's machine needs to know server and organisation by. Asks nobody. */
export async function orgPin(invocation: Invocation): Promise<number> {
  const server = await (await OperatorFiles.open(invocation.config.state.dir)).server();
  if (server === undefined) throw new Problem("org.not_joined");
  const pin = formatLoginPin(server);
  if (isSet(invocation, "json")) printJson({ server: server.url, pin });
  else printLine(`gatehouse login --server ${server.url} --pin ${pin}`);
  return 0;
}
