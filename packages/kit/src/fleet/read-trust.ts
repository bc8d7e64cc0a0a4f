import { join } from "node:path";
import { fromBase64url, Problem } from "@gatehouse/core";
import { readPrivateFile } from "../files/private-file.ts";
import { checkKeySet } from "../keys/key-set-document.ts";
import { describeRoster, readRosterDocument } from "../keys/roster-document.ts";
import type { BundleTrust, VerifiedBundle } from "./verify-bundle.ts";

/** What this host's `node.json` holds against its server; `undefined`: it belongs to none. Fails with `state.corrupt`. */
export async function readTrust(stateDir: string): Promise<BundleTrust | undefined> {
  const path = join(stateDir, "node.json");
  const stored = await readPrivateFile(path);
  if (stored === undefined) return undefined;
  try {
    const node = JSON.parse(stored.toString()) as Readonly<Record<string, unknown>>;
    const [orgId, nodeId] = [node.org_id, node.node_id];
    if (typeof orgId !== "string" || typeof nodeId !== "string") throw new TypeError("not a node");
    const serverIdentityKey = bytes(node.server_identity_key);
    return {
      orgId,
      nodeId,
      orgKey: bytes(node.org_key),
      serverIdentityKey,
      keySet: checkKeySet(node.key_set, serverIdentityKey),
      roster: describeRoster(readRosterDocument(node.roster)),
    };
  } catch (cause) {
    throw new Problem("state.corrupt", { detail: `${path} cannot be read.`, cause });
  }
}

/**
 * The same with whatever of a bundle is newer. What the host learned elsewhere since stands: a key set that was taken
 * out of service signs nothing any more because an old bundle names it.
 */
export function withNewer(trust: BundleTrust, bundle: Pick<VerifiedBundle, "keySet" | "roster">): BundleTrust {
  const keySet = bundle.keySet.epoch > trust.keySet.epoch ? bundle.keySet : trust.keySet;
  const roster = bundle.roster.version > trust.roster.version ? bundle.roster : trust.roster;
  return { ...trust, keySet, roster };
}

function bytes(value: unknown): Uint8Array {
  const read = typeof value === "string" ? fromBase64url(value) : undefined;
  if (read === undefined) throw new TypeError("not base64url");
  return read;
}
