import { base64url, Problem, toProblem } from "@gatehouse/core";
import type {
  Log,
  RefusedCredential,
  SignedBundle,
  SignedFreshness,
  SignedReseal,
  SignedRevocation,
} from "@gatehouse/kit";
import type { GateAudit } from "../audit/gate-audit.ts";
import { auditText } from "../audit/run-events.ts";
import type { Follower } from "../holder/followers.ts";
import type { RunRegistry } from "../registry/run-registry.ts";
import type { FleetStatus, RefusedStatus } from "./fleet-status.ts";
import type { FleetChange, FleetVault } from "./fleet-vault.ts";
import type { FreshnessKeeper } from "./freshness-keeper.ts";
import type { AllCredentials } from "./granted-credentials.ts";

export interface ResealCall {
  readonly order: SignedReseal;
  /** The server's time, as the daemon counts it. */
  readonly nowMs: number;
}

export interface FleetParts {
  readonly fleet: FleetVault;
  readonly freshness: FreshnessKeeper;
  readonly grants: AllCredentials;
  readonly registry: RunRegistry;
  readonly followers: Pick<Follower, "setFreshness">;
  readonly audit: GateAudit;
  readonly log: Log;
}

/** What the daemon brings of the server. It is a courier: each call verifies what it brings. */
export function fleetCalls(parts: FleetParts) {
  const { fleet, freshness, grants, registry, followers, audit, log } = parts;
  return {
    /** Serves a bundle whose parts are on disk, and tells every run before it answers. */
    applyBundle: async (signed: SignedBundle): Promise<FleetStatus> => {
      audit.requireRoom();
      const change = await fleet.apply(signed).catch((failure: unknown) => {
        const { code, detail = "" } = toProblem(failure);
        log.error("bundle refused", { generation: signed.generation, code, detail });
        audit.note({ kind: "bundle.refused", data: { code, generation: signed.generation } });
        throw failure;
      });
      const names = fleet.list().map(({ name }) => auditText(name));
      const refused = fleet.refused.map(({ credentialId }) => auditText(credentialId));
      const data = { generation: signed.generation, grants: names, ...(refused.length > 0 && { refused }) };
      audit.note({ kind: "bundle.applied", data });
      const unserved = fleet.refused.map(describeRefused);
      if (unserved.length > 0) log.error("credentials refused", { generation: signed.generation, refused: unserved });
      await tellRuns(registry, change);
      for (const name of grants.hidden)
        log.error("a grant of the organisation has the name of one of this node", { name });
      return statusOf(parts);
    },
    /** Lets go of credentials in every run at once; durable before it answers. */
    revokeCredentials: async (revocation: SignedRevocation): Promise<null> => {
      await fleet.revoke(revocation, async (change) => {
        audit.note({ kind: "credential.revoked", data: { ids: revocation.ids.map(auditText) } });
        await tellRuns(registry, change);
      });
      await audit.settled();
      return null;
    },
    /** Seals to further nodes what an operator ordered; each order that is followed or refused is on record. */
    resealCredential: async ({ order, nowMs }: ResealCall): Promise<string> => {
      audit.requireRoom();
      const id = auditText(order.credentialId);
      const recipients = order.recipients.map((key) => base64url(key));
      try {
        // The server's signed word of the time stands where a slower clock is told.
        const parts = await fleet.reseal(order, Math.max(nowMs, freshness.newestServerTime));
        audit.note({ kind: "credential.resealed", data: { id, recipients } });
        return parts;
      } catch (failure) {
        audit.note({ kind: "credential.reseal_refused", data: { id, recipients, code: toProblem(failure).code } });
        throw failure;
      } finally {
        await audit.settled();
      }
    },
    hearFreshness: async (heard: SignedFreshness): Promise<null> => {
      const [trust, bundle] = [await fleet.trust(), fleet.bundle];
      if (trust === undefined) throw new Problem("enroll.not_enrolled");
      await freshness.hear(heard, trust, bundle?.signed);
      await followers.setFreshness(freshness.untilSeconds);
      return null;
    },
    fleetStatus: async (): Promise<FleetStatus> => statusOf(parts),
  };
}

function statusOf({ fleet, freshness, grants }: FleetParts): FleetStatus {
  const { bundle, fault } = fleet;
  return {
    bundle: bundle?.signed,
    keySet: bundle?.keySet,
    roster: bundle?.roster,
    fault,
    grants: fleet.list().map(({ name }) => name),
    refused: fleet.refused.map(describeRefused),
    hidden: grants.hidden,
    freshUntilSeconds: freshness.untilSeconds,
  };
}

function describeRefused({ credentialId, name, problem }: RefusedCredential): RefusedStatus {
  return { id: credentialId, name: name ?? null, code: problem.code, reason: problem.message };
}

async function tellRuns(registry: RunRegistry, { changed, gone, isWider }: FleetChange): Promise<void> {
  for (const name of gone) await registry.withdrawGrant(name);
  if (isWider) await registry.refreshAll();
  else for (const name of changed) await registry.refreshGrant(name);
}
