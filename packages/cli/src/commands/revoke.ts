import { requestUnixOk } from "@gatehouse/kit";
import type { Invocation } from "../invocation.ts";
import { printLine } from "../terminal/print.ts";

/** Takes grants back: out of every run before this returns, and their credentials are deleted. */
export async function revoke({ args, socketPath }: Invocation): Promise<number> {
  for (const name of args) {
    await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/grants/${encodeURIComponent(name)}` });
    printLine(`Revoked ${name}: no run uses it any more, and its credential is deleted.`);
  }
  return 0;
}
