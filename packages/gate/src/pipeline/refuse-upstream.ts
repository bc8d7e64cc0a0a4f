import { toProblem } from "@gatehouse/core";
import type { Refusal, RequestContext } from "./request-context.ts";

/** Why the destination could not be reached, with what a person could do where its address is the reason. */
export function refuseUpstream(thrown: unknown, { host, port }: Pick<RequestContext, "host" | "port">): Refusal {
  const { code, detail = "" } = toProblem(thrown);
  if (code !== "gate.address_forbidden") return { code, detail };
  const place = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  const allowHint = `A person may allow private and loopback addresses by a policy rule for ${place} that states their range (cidr).`;
  return { code, detail, allowHint };
}
