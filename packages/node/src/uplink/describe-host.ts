import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { formatFingerprint } from "@gatehouse/core";
import { readFleetState } from "@gatehouse/gate";
import type { RosterDocument } from "@gatehouse/kit";
import { NodeFiles } from "./node-files.ts";
import { readSeenHeads } from "./seen-heads.ts";

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
  /** RFC 3339; null before the first session. A node that comes later is given a fresh key. */
  readonly api_key_expires_at: string | null;
  /** Of the bundle that is served, and when the server made it. */
  readonly bundle_generation: number | null;
  readonly bundle_issued_at: string | null;
  /** Bytes of telemetry that wait for the server. */
  readonly spool_bytes: number;
  /** Entries of the organisation's audit log that this node has seen, and what is wrong with it. */
  readonly org_log_seen: number | null;
  readonly org_log_fault: "rewound" | "forked" | null;
}

/** Reads the state directory alone: works while the server, or this node's daemon, is away. */
export async function describeEnrolledHost(stateDir: string): Promise<HostDescription> {
  const files = new NodeFiles(stateDir);
  const [enrolled, pending] = [await files.enrolled(), await files.pending()];
  const known = enrolled ?? pending;
  const served = await describeServed(stateDir);
  const alone = { server: null, node_id: null, name: null, org_id: null, fingerprint: null, key_set_epoch: null };
  if (known === undefined) return { state: "alone", state_dir: stateDir, ...alone, ...NOT_ENROLLED, ...served };
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
    refused_since: toTime(refusedSince),
    api_key_expires_at: toTime(await files.keyExpiry()),
    ...served,
  };
}

/** The roster that this host holds its server to. Fails with `enroll.not_enrolled`. */
export async function readHeldRoster(stateDir: string): Promise<RosterDocument> {
  return (await new NodeFiles(stateDir).require()).roster;
}

const NOT_ENROLLED = { roster_version: null, refused_since: null, api_key_expires_at: null } as const;

function toTime(unixMs: number | undefined): string | null {
  return unixMs === undefined ? null : new Date(unixMs).toISOString();
}

async function describeServed(stateDir: string) {
  const [{ bundle }, { org }] = [await readFleetState(stateDir), await readSeenHeads(stateDir)];
  return {
    bundle_generation: bundle?.generation ?? null,
    bundle_issued_at: toTime(bundle?.issuedAt),
    spool_bytes: await bytesBelow(join(stateDir, "spool", "telemetry")),
    org_log_seen: org?.head.size ?? null,
    org_log_fault: org?.contradicted?.fault ?? null,
  };
}

/** A file that goes meanwhile counts as nothing. */
async function bytesBelow(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(directory, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
