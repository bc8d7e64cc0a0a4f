import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { isOperators } from "../operator/is-operators.ts";
import { printJson, printLine } from "../terminal/print.ts";

/** Takes grants back: out of every run before this returns, and their credentials are deleted. */
export async function revoke(invocation: Invocation): Promise<number> {
  if (isOperators(invocation)) return (await import("./sealed-credentials.ts")).revokeSealed(invocation);
  const { args, socketPath } = invocation;
  const isJson = isSet(invocation, "json");
  const revoked: string[] = [];
  try {
    for (const name of args) {
      await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/grants/${encodeURIComponent(name)}` });
      revoked.push(name);
      if (!isJson) printLine(`Revoked ${name}: no run uses it any more, and its credential is deleted.`);
    }
  } finally {
    if (isJson) printJson({ revoked });
  }
  return 0;
}
