import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { constantTimeEqual, Problem } from "@gatehouse/core";
import { keysFor, openLogSource, systemReason, type VerifiedLog, verifyLog } from "@gatehouse/kit";
import { asOperator, type Operator } from "../operator/open-operator.ts";

export interface ServerExport {
  readonly path: string;
  /** Name or id of a node; `undefined`: the organisation's own log. */
  readonly node: string | undefined;
}

const FILE_MODE = 0o600;

/**
 * Fetches a log from the server and checks it before it counts: the file is whole and verified, or not there. The
 * organisation's must be signed by a key that the pinned identity certified. Fails with `audit.…`, `nodes.not_found`.
 */
export async function exportFromServer(stateDir: string, { path, node }: ServerExport): Promise<VerifiedLog> {
  return asOperator(stateDir, async (operator) => {
    const nodeId = node === undefined ? "" : await nodeIdOf(operator, node);
    const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
    try {
      await download(operator, temporary, nodeId);
      const verified = await verifyLog(await openLogSource(temporary));
      if (nodeId === "") requireCertified(operator, verified);
      await rename(temporary, path);
      return verified;
    } catch (failure) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw failure;
    }
  });
}

/** A node that was revoked has no name any more, and its log is still there under its id. */
async function nodeIdOf({ nodes }: Operator, asked: string): Promise<string> {
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(asked)) return asked;
  return (await nodes.getNode({ node: asked })).node?.id ?? "";
}

async function download({ audit }: Operator, path: string, nodeId: string): Promise<void> {
  await using file = await open(path, "wx", FILE_MODE).catch((cause: unknown) => {
    throw new Problem("state.write_failed", { detail: `${path}: ${systemReason(cause)}.`, cause });
  });
  // A log of years takes its time; what stops is noticed by the connection's pings.
  for await (const { lines } of audit.exportAudit({ nodeId }, { timeoutMs: 0 })) await file.appendFile(lines);
  await file.sync();
}

/** Fails with `audit.tampered` unless the log is the organisation's, signed by a key of its server's key set. */
function requireCertified({ server }: Operator, { log, key }: Pick<VerifiedLog, "log" | "key">): void {
  const isCertified = keysFor(server.keySet, "audit").some((one) => constantTimeEqual(one.key, key));
  if (isCertified && log === server.orgId) return;
  throw new Problem("audit.tampered", { detail: "It is not signed by the server's audit key." });
}
