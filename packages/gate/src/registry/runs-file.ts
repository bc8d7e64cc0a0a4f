import { rename } from "node:fs/promises";
import { join } from "node:path";
import { type NetworkPolicyInput, Problem, parseRunId } from "@gatehouse/core";
import { readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import type { FlattenedJWE } from "jose";
import { z } from "zod";
import type { RegisteredRun } from "./registered-run.ts";

const runSchema = z.object({
  run_id: z.string(),
  token_hash: z.string().regex(/^[0-9a-f]{64}$/),
  registered_at: z.number().int(),
  container_id: z.string().optional(),
  agent: z.string().optional(),
  project: z.string().optional(),
  keeper: z
    .string()
    .regex(/^[0-9a-f]{16}$/)
    .optional(),
  exposed: z.boolean().optional(),
  grants: z.array(z.string()),
  placeholders: z.record(z.string(), z.string()),
  policy: z.custom<NetworkPolicyInput>((value) => typeof value === "object" && value !== null),
  remove_headers: z.array(z.object({ host: z.string(), header_name: z.string() })),
  sealed_values: z.custom<FlattenedJWE>((value) => typeof value === "object" && value !== null).optional(),
});

const fileSchema = z.object({
  version: z.literal(1),
  proxy_port: z.number().int().min(0).max(65_535).optional(),
  runs: z.array(z.unknown()),
});

/** What `runs.json` holds. An entry that cannot be read stands in `refused` with its reason. */
export interface StoredRuns {
  readonly proxyPort: number;
  readonly runs: readonly RegisteredRun[];
  readonly refused: readonly { readonly runId: string; readonly reason: string }[];
}

const EMPTY: StoredRuns = { proxyPort: 0, runs: [], refused: [] };

/**
 * Reads `runs.json`. A damaged file is set aside under another name, so nothing is lost, and reported: the runs in it
 * are refused at the gate until they register again.
 */
export async function readRuns(stateDir: string, now: () => number): Promise<StoredRuns> {
  const path = join(stateDir, "runs.json");
  const bytes = await readPrivateFile(path);
  if (bytes === undefined) return EMPTY;
  const parsed = fileSchema.safeParse(parseJson(bytes));
  if (!parsed.success) {
    const aside = `runs.json.corrupt-${now()}`;
    await rename(path, join(stateDir, aside));
    return { ...EMPTY, refused: [{ runId: "*", reason: `runs.json is damaged and was kept as ${aside}` }] };
  }
  const runs: RegisteredRun[] = [];
  const refused: { runId: string; reason: string }[] = [];
  for (const [index, entry] of parsed.data.runs.entries()) {
    const run = parseRun(entry);
    if (typeof run === "string") refused.push({ runId: nameOf(entry, index), reason: run });
    else runs.push(run);
  }
  return { proxyPort: parsed.data.proxy_port ?? 0, runs, refused };
}

/** Writes `runs.json` whole: temp, fsync, rename. */
export async function writeRuns(stateDir: string, proxyPort: number, runs: readonly RegisteredRun[]): Promise<void> {
  const text = JSON.stringify({ version: 1, proxy_port: proxyPort, runs: runs.map(asStored) });
  await writeFileAtomic(join(stateDir, "runs.json"), text);
}

function parseJson(bytes: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return Array.isArray(value) ? { version: 1, runs: value } : value;
  } catch {
    return undefined;
  }
}

function nameOf(entry: unknown, index: number): string {
  const id = typeof entry === "object" && entry !== null && "run_id" in entry ? entry.run_id : undefined;
  return typeof id === "string" ? id.slice(0, 128) : `#${index}`;
}

function parseRun(entry: unknown): RegisteredRun | string {
  const parsed = runSchema.safeParse(entry);
  if (!parsed.success) return `its entry is damaged at ${parsed.error.issues[0]?.path.join(".") ?? "?"}`;
  const stored = parsed.data;
  try {
    return {
      runId: parseRunId(stored.run_id),
      tokenHash: stored.token_hash,
      registeredAt: stored.registered_at,
      containerId: stored.container_id,
      agent: stored.agent,
      project: stored.project,
      place: stored.keeper === undefined ? { kind: "shared" } : { kind: "sandbox", keeper: stored.keeper },
      isExposed: stored.exposed ?? false,
      grants: stored.grants,
      placeholders: stored.placeholders,
      policy: stored.policy,
      removeHeaders: stored.remove_headers.map(({ host, header_name }) => ({ host, name: header_name })),
      sealedValues: stored.sealed_values,
    };
  } catch (failure) {
    return failure instanceof Problem ? failure.message : "its entry is damaged";
  }
}

function asStored(run: RegisteredRun): object {
  return {
    run_id: run.runId,
    token_hash: run.tokenHash,
    registered_at: run.registeredAt,
    container_id: run.containerId,
    agent: run.agent,
    project: run.project,
    keeper: run.place.kind === "sandbox" ? run.place.keeper : undefined,
    exposed: run.isExposed,
    grants: run.grants,
    placeholders: run.placeholders,
    policy: run.policy,
    remove_headers: run.removeHeaders.map(({ host, name }) => ({ host, header_name: name })),
    sealed_values: run.sealedValues,
  };
}
