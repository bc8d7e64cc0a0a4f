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
  const confirmed = await measureConfirmations(parts, org);
  return [
    { case: label("hosts that ask at once"), value: hosts / asked.seconds, unit: "hosts/s", target: { atLeast: 100 } },
    { case: label("the same"), value: (asked.cpuSeconds / hosts) * 1e3, unit: "ms CPU" },
    { case: label("the same, p99"), value: quantile(asked.values, 0.99), unit: "ms" },
    { case: label("the same, lost"), value: hosts - waiting, unit: "", target: { atMost: 0 } },
    { case: label("a host confirmed, with the whole roster"), value: median(confirmed.values), unit: "ms" },
    { case: label("the same"), value: (confirmed.cpuSeconds / CONFIRMED) * 1e3, unit: "ms CPU" },
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

function measureConfirmations({ server, operator }: Parts, { orgKey, roster, server: { url } }: EnrollingOrg) {
  return timed(server, async () => {
    const took: number[] = [];
    let newest = roster;
    for (let round = 0; round < CONFIRMED; round += 1) {
      const host = new AskingHost((await operator.nodes.createEnrollmentCode({})).code, url);
      await host.register();
      const { nodeId, enrollmentId, fingerprint, listed } = host.claimed;
      newest = { ...newest, version: newest.version + 1, issuedAt: Date.now(), nodes: [...newest.nodes, listed] };
      const startedMs = performance.now();
      const signed = writeRosterMessage(signRoster(newest, orgKey));
      await operator.nodes.confirmNode({ nodeId, enrollmentId, fingerprint, roster: signed });
      took.push(performance.now() - startedMs);
    }
    return took;
  });
}
