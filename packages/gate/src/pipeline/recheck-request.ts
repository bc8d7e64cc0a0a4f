import { mayDial } from "@gatehouse/core";
import { type CompiledRun, selectInjections } from "../worker/compile-run.ts";
import { policyRefusal } from "./check-policy.ts";
import type { Refusal, RequestContext } from "./request-context.ts";

/**
 * Why a request that is under way must end under the run's new form: its rules deny it now, or no longer state the
 * range of the address to which it went (`undefined`: it is not connected yet), or a credential that it carries was
 * taken back. One whose value was replaced under the same grant and header goes on.
 */
export function recheckRequest(
  context: RequestContext,
  run: CompiledRun,
  address: string | undefined,
): Refusal | undefined {
  const { host, port, head, path, carried, tunnel } = context;
  const server = tunnel?.mcpServer;
  if (server !== undefined && run.mcpServers.get(server.name)?.server.url !== server.url) {
    return { code: "gate.policy_denied", detail: "The MCP server was taken back while the request was under way." };
  }
  const decision = run.policy.decide({ host, port, method: head.method, path });
  if (decision.action !== "allow") return policyRefusal(context, decision);
  if (address !== undefined && !mayDial(address, run.policy.addressRanges(host, port)).ok) {
    return { code: "gate.address_forbidden", detail: `The address of ${host}:${port} may not be reached any more.` };
  }
  if (carried.length === 0) return undefined;
  const plan = run.planFor(host, port);
  const left = [...plan.slots, ...selectInjections(plan, context)];
  const gone = carried.find(({ grant, header }) => !left.some((one) => one.grant === grant && one.header === header));
  if (gone === undefined) return undefined;
  const name = gone.grant === undefined ? `The credential in ${gone.header}` : `The grant ${gone.grant}`;
  return { code: "gate.policy_denied", detail: `${name} was taken back while the request was under way.` };
}
