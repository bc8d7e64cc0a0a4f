import { join } from "node:path";
import { type NetworkPolicyInput, Problem, parseRunId } from "@gatehouse/core";
import { readPrivateFile, writeFileAtomic } from "@gatehouse/kit";
import type { FlattenedJWE } from "jose";
import * as z from "zod";
import { parseMcpServer } from "../snapshot/mcp-server.ts";
import { TRANSFORMER_KINDS } from "../snapshot/run-snapshot.ts";
import type { RegisteredRun } from "./registered-run.ts";
import { setAside } from "./set-aside.ts";

/** What an entry may need of the version that serves it; one that needs more is refused there, never served with less. */
const KNOWN_NEEDS: ReadonlySet<string> = new Set(["response_transformers", "mcp_servers"]);

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
  response_transformers: z.array(z.object({ host: z.string(), kind: z.enum(TRANSFORMER_KINDS) })).optional(),
  mcp_servers: z
    .array(
      z.object({
        name: z.string(),
        url: z.string(),
        auth: z.object({ grant: z.string(), header: z.string() }).optional(),
      }),
    )
    .optional(),
  needs: z.array(z.string()).optional(),
  sealed_values: z.custom<FlattenedJWE>((value) => typeof value === "object" && value !== null).optional(),
});

const fileSchema = z.object({
  version: z.literal(1),
  proxy_port: z.number().int().min(0).max(65_535).optional(),
  runs: z.array(z.unknown()),
});

/** An entry that is not served, and why. */
export interface RefusedEntry {
  readonly runId: string;
  readonly tokenHash: string | undefined;
  readonly reason: string;
  /** As it stands in the file, so that it can be written back: what is put right comes back at the next start. */
  readonly entry: unknown;
}

/** What `runs.json` holds. */
export interface StoredRuns {
  readonly proxyPort: number;
  /** Each with its entry as it stands there: a newer version may have written more into it. */
  readonly runs: readonly { readonly run: RegisteredRun; readonly entry: unknown }[];
  readonly refused: readonly RefusedEntry[];
  /** What a person must know of the file, when it was damaged as a whole. */
  readonly fault: string | undefined;
}

const EMPTY: StoredRuns = { proxyPort: 0, runs: [], refused: [], fault: undefined };

/**
 * Reads `runs.json`. A damaged file is set aside under another name, so nothing is lost, and reported: the runs in it
 * are refused at the gate until they register again.
 */
export async function readRuns(stateDir: string, now: () => number): Promise<StoredRuns> {
  const path = join(stateDir, "runs.json");
  const bytes = await readPrivateFile(path);
  if (bytes === undefined) return EMPTY;
  const parsed = fileSchema.safeParse(parseJson(bytes));
  if (!parsed.success) return { ...EMPTY, fault: await setAside(path, now()) };
  const runs: StoredRuns["runs"][number][] = [];
  const refused: RefusedEntry[] = [];
  for (const [index, entry] of parsed.data.runs.entries()) {
    const run = parseRun(entry);
    if (typeof run === "string") refused.push({ ...namesOf(entry, index), reason: run, entry });
    else runs.push({ run, entry });
  }
  return { proxyPort: parsed.data.proxy_port ?? 0, runs, refused, fault: undefined };
}

type RunsToStore = Pick<StoredRuns, "proxyPort" | "refused"> & { readonly runs: readonly RegisteredRun[] };

/** Writes `runs.json` whole: temp, fsync, rename. Entries that are not served stand behind the runs, unchanged. */
export function writeRuns(stateDir: string, stored: RunsToStore): Promise<void> {
  const entries = [...stored.runs.map(asEntry), ...stored.refused.map(({ entry }) => entry)];
  const text = JSON.stringify({ version: 1, proxy_port: stored.proxyPort, runs: entries });
  return writeFileAtomic(join(stateDir, "runs.json"), text);
}

function parseJson(bytes: Buffer): unknown {
  try {
    const value: unknown = JSON.parse(bytes.toString());
    return Array.isArray(value) ? { version: 1, runs: value } : value;
  } catch {
    return undefined;
  }
}

function namesOf(entry: unknown, index: number): Pick<RefusedEntry, "runId" | "tokenHash"> {
  const names = z.object({ run_id: z.string().max(128), token_hash: runSchema.shape.token_hash }).partial();
  const { data } = names.safeParse(entry);
  return { runId: data?.run_id ?? `#${index}`, tokenHash: data?.token_hash };
}

function parseRun(entry: unknown): RegisteredRun | string {
  const parsed = runSchema.safeParse(entry);
  if (!parsed.success) return `its entry is damaged at ${parsed.error.issues[0]?.path.join(".") ?? "?"}`;
  const stored = parsed.data;
  const lacking = stored.needs?.find((name) => !KNOWN_NEEDS.has(name));
  if (lacking !== undefined) return `it needs ${lacking.slice(0, 64)}, which this version does not have`;
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
      transformers: stored.response_transformers ?? [],
      mcpServers: (stored.mcp_servers ?? []).map(({ name, url, auth }) => parseMcpServer({ name, url, auth }).server),
      sealedValues: stored.sealed_values,
    };
  } catch (failure) {
    return failure instanceof Problem ? failure.message : "its entry is damaged";
  }
}

/** A readable entry that is not served for `reason`. */
export function refuseRun({ run, entry }: StoredRuns["runs"][number], reason: string): RefusedEntry {
  return { runId: run.runId, tokenHash: run.tokenHash, reason, entry };
}

function asEntry(run: RegisteredRun): object {
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
    response_transformers: run.transformers,
    mcp_servers: run.mcpServers,
    needs: needsOf(run),
    sealed_values: run.sealedValues,
  };
}

function needsOf({ transformers, mcpServers }: RegisteredRun): readonly string[] {
  return [
    ...(transformers.length > 0 ? ["response_transformers"] : []),
    ...(mcpServers.length > 0 ? ["mcp_servers"] : []),
  ];
}
