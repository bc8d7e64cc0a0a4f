import { requestUnixOk } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { isOperators } from "../operator/is-operators.ts";
import { listOwn } from "../operator/own-credentials.ts";
import { printJson, printLine } from "../terminal/print.ts";

const GONE_HERE = "no run uses it any more, and its credential is deleted.";
const GONE_THERE = "nodes that are connected let go of it now, the others when they are.";

/**
 * Takes grants back: out of every run before this returns, and their credentials are deleted. On an operator's machine
 * a name that this machine has no credential of its own for is the organisation's.
 */
export async function revoke(invocation: Invocation): Promise<number> {
  const { args, socketPath } = invocation;
  const isJson = isSet(invocation, "json");
  const revoked: string[] = [];
  const done = (name: string, what: string) => {
    revoked.push(name);
    if (!isJson) printLine(`Revoked ${name}: ${what}`);
  };
  try {
    const own = isOperators(invocation) ? (await listOwn(invocation)).map(({ name }) => name) : args;
    for (const name of args.filter((one) => own.includes(one))) {
      await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/grants/${encodeURIComponent(name)}` });
      done(name, GONE_HERE);
    }
    const others = args.filter((one) => !own.includes(one));
    if (others.length > 0) {
      const { revokeSealed } = await import("./sealed-credentials.ts");
      await revokeSealed(invocation, others, (name) => done(name, GONE_THERE));
    }
  } finally {
    if (isJson) printJson({ revoked });
  }
  return 0;
}
