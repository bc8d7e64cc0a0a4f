import { describeEnrolledHost } from "@gatehouse/node";
import { type Invocation, isSet } from "../invocation.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Says which node this host is. Asks nobody; works without a server. */
export async function status(invocation: Invocation): Promise<number> {
  const said = await describeEnrolledHost(invocation.config.state.dir);
  if (isSet(invocation, "json")) printJson(said);
  else for (const [name, value] of Object.entries(said)) printLine(`${name.padEnd(18)} ${value ?? "-"}`);
  return 0;
}
