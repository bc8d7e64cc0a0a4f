import { buildInfo } from "../build-info.ts";
import { type Invocation, isSet } from "../invocation.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Prints what this build is. */
export async function version(invocation: Invocation): Promise<number> {
  const info = buildInfo();
  if (isSet(invocation, "json")) printJson({ ...info, node: process.versions.node });
  else printLine(`gatehouse ${info.version} (${info.commit}), Node.js ${process.versions.node}`);
  return 0;
}
