import type { ServiceImpl } from "@connectrpc/connect";
import { base64url, canonicalJson, Problem } from "@gatehouse/core";
import type { AuditAdminService } from "@gatehouse/wire";
import { coverOrgLog } from "../../audit/keep-heads.ts";
import { proveStoredEntry } from "../../audit/prove-stored-entry.ts";
import { type CoveredLog, coveredLines, findCoveredLog, type InOwnOrg } from "../../audit/read-log.ts";
import type { ServerContext } from "../../server-context.ts";
import { actorOf, operatorCaller } from "../caller.ts";

/** The organisation's log, and what its nodes copied of theirs. Reading either is itself on record. */
export function auditAdminService({ store, keys }: ServerContext): ServiceImpl<typeof AuditAdminService> {
  const headDeps = { store, key: keys.working.audit.key };
  const cover = async (orgId: string, logId: string): Promise<CoveredLog> => {
    if (logId === orgId) await coverOrgLog(orgId, headDeps);
    return store.inOrg(orgId, (tx) => findCoveredLog(tx, logId));
  };
  return {
    exportAudit: async function* ({ nodeId }, context) {
      const caller = operatorCaller(context);
      const { orgId } = caller;
      const inOrg: InOwnOrg = (work) => store.inOrg(orgId, work);
      const logId = nodeId === "" ? orgId : nodeId;
      await store.inOrg(orgId, async (tx) => {
        if (logId !== orgId) await findCoveredLog(tx, logId);
        await tx.audit.append({ kind: "audit.exported", actor: actorOf(caller), data: { log: logId } });
      });
      const covered = await cover(orgId, logId);
      const { key, signedAs } = covered.log;
      yield { lines: asLines([canonicalJson({ gatehouse_audit: 1, key: base64url(key), log: signedAs })]) };
      for await (const lines of coveredLines(inOrg, covered)) yield { lines: asLines(lines) };
    },
    proveAuditEntry: async ({ seq }, context) => {
      const { orgId } = operatorCaller(context);
      const number = Number(seq);
      if (!Number.isSafeInteger(number)) throw new Problem("audit.not_found");
      const covered = await cover(orgId, orgId);
      return { proof: await proveStoredEntry((work) => store.inOrg(orgId, work), covered, number) };
    },
  };
}

function asLines(lines: readonly string[]): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(""));
}
