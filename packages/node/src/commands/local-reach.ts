import { classifyAddress, isIpAddress, type NetworkPolicyInput, Problem, parseHostPattern } from "@gatehouse/core";
import type { Ceiling } from "./ceiling.ts";

/**
 * Refuses a policy that came from outside and reaches into the site's own network, save for places that the node's own
 * configuration lists. Fails with `commands.above_ceiling`.
 */
export function requirePublic(
  policy: NetworkPolicyInput,
  { localDestinations }: Pick<Ceiling, "localDestinations">,
): void {
  const strange = statedLocally(policy).find((place) => !localDestinations.includes(place));
  if (strange === undefined) return;
  throw new Problem("commands.above_ceiling", {
    detail: `Its setting node.localDestinations does not list ${strange}.`,
  });
}

/** Every place, as `host:port`, that an allowing rule states beside public addresses. */
function statedLocally({ rules = [], hostRules = [], allow = [] }: NetworkPolicyInput): readonly string[] {
  const byRules = rules
    .filter(({ action }) => action === "allow")
    .flatMap(({ hosts, ports = [undefined], cidr = [] }) =>
      hosts
        .filter((host) => cidr.length > 0 || isLocal(host))
        .flatMap((host) => ports.map((port) => placeOf(host, port))),
    );
  const byHosts = [...hostRules.map(({ host }) => host), ...allow]
    .filter(isLocal)
    .map((host) => placeOf(host, undefined));
  return [...byRules, ...byHosts];
}

/** `localhost` and address literals; what a name resolves to is held by the ranges that a rule states. */
function isLocal(text: string): boolean {
  const { kind, host } = parseHostPattern(text);
  if (kind !== "exact") return false;
  return host === "localhost" || (isIpAddress(host) !== 0 && classifyAddress(host) !== "public");
}

function placeOf(text: string, rulePort: number | undefined): string {
  const { host, port = rulePort } = parseHostPattern(text);
  const name = isIpAddress(host) === 6 ? `[${host}]` : host;
  return `${name}:${port ?? "any port"}`;
}
