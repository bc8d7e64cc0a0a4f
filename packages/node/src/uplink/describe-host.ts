import { formatFingerprint } from "@gatehouse/core";
import { NodeFiles } from "./node-files.ts";

/** What a host knows of its enrollment, for a person or a script. Never a secret. */
export interface HostDescription {
  /** `refused`: the server does not know this node any more. */
  readonly state: "alone" | "awaiting_confirmation" | "enrolled" | "refused";
  readonly state_dir: string;
  readonly server: string | null;
  readonly node_id: string | null;
  readonly name: string | null;
  readonly org_id: string | null;
  readonly fingerprint: string | null;
  readonly roster_version: number | null;
  readonly key_set_epoch: number | null;
  /** RFC 3339. */
  readonly refused_since: string | null;
}

/** Reads the state directory alone: works while the server, or this node's daemon, is away. */
export async function describeEnrolledHost(stateDir: string): Promise<HostDescription> {
  const files = new NodeFiles(stateDir);
  const [enrolled, pending] = [await files.enrolled(), await files.pending()];
  const known = enrolled ?? pending;
  const alone = { server: null, node_id: null, name: null, org_id: null, fingerprint: null, key_set_epoch: null };
  if (known === undefined)
    return { state: "alone", state_dir: stateDir, ...alone, roster_version: null, refused_since: null };
  const refusedSince = await files.refusedSince();
  return {
    state: enrolled === undefined ? "awaiting_confirmation" : refusedSince === undefined ? "enrolled" : "refused",
    state_dir: stateDir,
    server: known.server_url,
    node_id: known.node_id,
    name: known.name,
    org_id: known.org_id,
    fingerprint: formatFingerprint(known.tuple_sha256),
    roster_version: enrolled?.roster.version ?? null,
    key_set_epoch: known.key_set.epoch,
    refused_since: refusedSince === undefined ? null : new Date(refusedSince).toISOString(),
  };
}
