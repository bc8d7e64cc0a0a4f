import { Problem, type Roster, toProblem } from "@gatehouse/core";
import { type SignedRoster, type SigningKey, toServerProblem, writeRosterMessage } from "@gatehouse/kit";
import { type ComparedHost, type ConfirmedHost, compareHost, type PrintedHost } from "./compare-host.ts";
import type { Operator } from "./open-operator.ts";
import { signRoster } from "./sign-roster.ts";
import { refuseTakenId } from "./taken-id.ts";
import { trustRoster } from "./trusted-roster.ts";

/** What became of one of them. */
export type HostOutcome = { readonly asked: string } & (ConfirmedHost | { readonly failure: Problem });

/** `confirmHosts` of one. Fails with `enroll.wrong_fingerprint`, `enroll.not_waiting`, `server.untrusted`. */
export async function confirmHost(operator: Operator, asked: string, fingerprint: string): Promise<ConfirmedHost> {
  const [outcome] = await confirmHosts(operator, [{ asked, fingerprint }]);
  if (outcome === undefined || "failure" in outcome) throw outcome?.failure ?? new Problem("enroll.not_waiting");
  return outcome;
}

/**
 * Puts hosts that wait on the roster, all in one version of it; a host that replaces another, whom that version takes
 * off, in a version of its own. Each fingerprint is computed here, from exactly the keys that go there, and compared
 * with what that host said, before anything is signed: a host that does not hold is on no version, and the others are
 * confirmed; one that was confirmed before stays so. Fails, with nothing signed, with `usage.invalid` for one host
 * twice, and as the roster cannot be trusted.
 */
export async function confirmHosts(operator: Operator, hosts: readonly PrintedHost[]): Promise<readonly HostOutcome[]> {
  const orgKey = await operator.files.requireOrgKey();
  const outcomes = new Outcomes(hosts);
  const compared: ComparedHost[] = [];
  for (const host of hosts) {
    await outcomes.attempt(host, async () => {
      const found = await compareHost(operator, host, orgKey);
      if ("isRepeated" in found) outcomes.add(host, found);
      else compared.push(found);
    });
  }
  if (new Set(compared.map(({ nodeId }) => nodeId)).size !== compared.length) {
    throw new Problem("usage.invalid", { detail: "Two of these are one host. Nothing was confirmed." });
  }
  if (compared.length === 0) return outcomes.list();
  const shown = await operator.org.getOrg({});
  const { struckNodeIds } = shown;
  // Whoever stands on it already gets what is sealed next: proven before it is signed again.
  let newest = await trustRoster(shown, operator);
  const isAlone = ({ replacesNodeId }: ComparedHost) => replacesNodeId !== "";
  for (const group of [compared.filter((one) => !isAlone(one)), ...compared.filter(isAlone).map((one) => [one])]) {
    newest = await confirmTogether(group, { operator, orgKey, outcomes, before: newest, struckNodeIds });
  }
  return outcomes.list();
}

interface Together {
  readonly operator: Operator;
  readonly orgKey: SigningKey;
  readonly outcomes: Outcomes;
  readonly before: SignedRoster;
  readonly struckNodeIds: readonly string[];
}

/** Signs one version with all of these on it. Answers the roster that then holds: that one, once it was taken for any. */
async function confirmTogether(
  group: readonly ComparedHost[],
  { operator: { files, nodes }, orgKey, outcomes, before, struckNodeIds }: Together,
): Promise<SignedRoster> {
  const names = await files.nodeNames();
  const fit: ComparedHost[] = [];
  for (const one of group) {
    await outcomes.attempt(one.host, async () => {
      refuseTakenId(one, before, names);
      fit.push(one);
    });
  }
  if (fit.length === 0) return before;
  const roster = signRoster(nextRoster(before, struckNodeIds, fit), orgKey);
  const message = writeRosterMessage(roster);
  let newest = before;
  for (const { host, nodeId, name, node, enrollmentId } of fit) {
    await outcomes.attempt(host, async () => {
      const { fingerprint } = host;
      const done = await nodes.confirmNode({ nodeId, enrollmentId, fingerprint, roster: message });
      outcomes.add(host, { node: done.node ?? node, isRepeated: false });
      if (newest === before) await files.saveRoster(roster);
      newest = roster;
      await files.rememberNode(name, nodeId);
    });
  }
  return newest;
}

/** The roster with the nodes on it, and without those that ended since. */
function nextRoster(before: SignedRoster, struckNodeIds: readonly string[], waiting: readonly ComparedHost[]): Roster {
  const own = waiting.map(({ nodeId, identityKey, encryptionKey, caKey }) => {
    return { nodeId, identityKey, encryptionKey, caKey };
  });
  const gone = new Set([
    ...struckNodeIds,
    ...waiting.map(({ replacesNodeId }) => replacesNodeId),
    ...own.map(({ nodeId }) => nodeId),
  ]);
  return {
    orgId: before.orgId,
    version: before.version + 1,
    issuedAt: Date.now(),
    nodes: [...before.nodes.filter(({ nodeId }) => !gone.has(nodeId)), ...own],
    operatorKeys: before.operatorKeys,
    joins: before.joins,
  };
}

/** What becomes of each host: one that fails keeps none of the others. */
class Outcomes {
  readonly #hosts: readonly PrintedHost[];
  readonly #outcomes = new Map<PrintedHost, HostOutcome>();

  constructor(hosts: readonly PrintedHost[]) {
    this.#hosts = hosts;
  }

  add(host: PrintedHost, confirmed: ConfirmedHost): void {
    this.#outcomes.set(host, { asked: host.asked, ...confirmed });
  }

  async attempt(host: PrintedHost, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (failure) {
      this.#outcomes.set(host, { asked: host.asked, failure: toProblem(toServerProblem(failure)) });
    }
  }

  /** In the order in which they were asked for. */
  list(): readonly HostOutcome[] {
    return this.#hosts.flatMap((host) => this.#outcomes.get(host) ?? []);
  }
}
