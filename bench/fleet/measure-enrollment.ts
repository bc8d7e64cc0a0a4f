import type { Roster } from "@gatehouse/core";
import { type SigningKey, writeRosterMessage } from "@gatehouse/kit";
import { Enrollment_State } from "@gatehouse/wire";
import { allPages } from "../../packages/cli/src/operator/all-pages.ts";
import { signRoster } from "../../packages/cli/src/operator/sign-roster.ts";
import { median, quantile } from "../median.ts";
import type { Row } from "../row.ts";
import { AskingHost } from "./asking-host.ts";
import type { BenchOperator } from "./bench-operator.ts";
import { type Parts, timed } from "./parts.ts";
import type { ServerSeed } from "./simulated-node.ts";

const CONCURRENCY = 32;
const MOST_HOSTS = 1_000;
const CONFIRMED = 20;

export interface EnrollingOrg {
  readonly orgKey: SigningKey;
  /** The newest. */
  readonly roster: Roster;
  readonly server: ServerSeed;
}

/** Many hosts ask at once, beside the fleet; then an operator confirms some, each with a roster that names all. */
export async function measureEnrollment(parts: Parts, org: EnrollingOrg): Promise<readonly Row[]> {
  const { server, nodes, operator, count, label } = parts;
  const hosts = Math.min(MOST_HOSTS, count);
  const codes = await makeCodes(operator, hosts);
  const asked = await timed(server, () =>
    nodes.spread(codes, (own) => ({ kind: "register", codes: own, concurrency: CONCURRENCY })),
  );
  const read = (page: { readonly pageToken: string }) => operator.nodes.listEnrollmentCodes(page);
  const enrollments = await allPages(read, ({ enrollments: listed }) => listed);
  const waiting = enrollments.filter(({ state }) => state === Enrollment_State.AWAITING_CONFIRMATION).length;
  const { confirmed, newest } = await measureConfirmations(parts, org);
  const shared = await measureShared(parts, { ...org, roster: newest });
  return [
    { case: label("hosts that ask at once"), value: hosts / asked.seconds, unit: "hosts/s", target: { atLeast: 100 } },
    { case: label("the same"), value: (asked.cpuSeconds / hosts) * 1e3, unit: "ms CPU" },
    { case: label("the same, p99"), value: quantile(asked.values, 0.99), unit: "ms" },
    { case: label("the same, lost"), value: hosts - waiting, unit: "", target: { atMost: 0 } },
    { case: label("a host confirmed, with the whole roster"), value: median(confirmed.values), unit: "ms" },
    { case: label("the same"), value: (confirmed.cpuSeconds / CONFIRMED) * 1e3, unit: "ms CPU" },
    { case: label("a host confirmed in a version that hosts share"), value: median(shared.values), unit: "ms" },
    { case: label("the same"), value: (shared.cpuSeconds / CONFIRMED) * 1e3, unit: "ms CPU" },
  ];
}

async function makeCodes({ nodes }: BenchOperator, count: number): Promise<readonly string[]> {
  const codes: string[] = [];
  const lane = async () => {
    for (let left = count / CONCURRENCY; left > 0; left -= 1) codes.push((await nodes.createEnrollmentCode({})).code);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
  return codes.slice(0, count);
}

async function measureConfirmations(parts: Parts, { orgKey, roster, server: { url } }: EnrollingOrg) {
  let newest = roster;
  const confirmed = await timed(parts.server, async () => {
    const took: number[] = [];
    for (let round = 0; round < CONFIRMED; round += 1) {
      const host = await askedHost(parts, url);
      newest = withHosts(newest, [host]);
      const startedMs = performance.now();
      await confirm(parts, host, writeRosterMessage(signRoster(newest, orgKey)));
      took.push(performance.now() - startedMs);
    }
    return took;
  });
  return { confirmed, newest };
}

/** As many hosts, all in one version, which is signed once. */
function measureShared(parts: Parts, { orgKey, roster, server: { url } }: EnrollingOrg) {
  return timed(parts.server, async () => {
    const hosts: AskingHost[] = [];
    for (let round = 0; round < CONFIRMED; round += 1) hosts.push(await askedHost(parts, url));
    const took: number[] = [];
    const shared = writeRosterMessage(signRoster(withHosts(roster, hosts), orgKey));
    for (const host of hosts) {
      const startedMs = performance.now();
      await confirm(parts, host, shared);
      took.push(performance.now() - startedMs);
    }
    return took;
  });
}

async function askedHost({ operator }: Parts, url: string): Promise<AskingHost> {
  const host = new AskingHost((await operator.nodes.createEnrollmentCode({})).code, url);
  await host.register();
  return host;
}

function withHosts(roster: Roster, hosts: readonly AskingHost[]): Roster {
  const nodes = [...roster.nodes, ...hosts.map(({ claimed }) => claimed.listed)];
  return { ...roster, version: roster.version + 1, issuedAt: Date.now(), nodes };
}

async function confirm({ operator }: Parts, { claimed }: AskingHost, roster: ReturnType<typeof writeRosterMessage>) {
  const { nodeId, enrollmentId, fingerprint } = claimed;
  await operator.nodes.confirmNode({ nodeId, enrollmentId, fingerprint, roster });
}
