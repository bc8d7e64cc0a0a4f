import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { base64url, fromBase64url, Problem } from "@gatehouse/core";
import { readPrivateFile, type SignedBundle, writeFileAtomic } from "@gatehouse/kit";
import { z } from "zod";

const bytesSchema = z.string().transform((text, context) => {
  const bytes = fromBase64url(text);
  if (bytes === undefined) context.addIssue("not base64url");
  return bytes ?? new Uint8Array();
});

const fileSchema = z.strictObject({
  gatehouse_fleet: z.literal(1),
  /** The bundle that is served; absent before the first. */
  bundle: z
    .strictObject({
      epoch: z.number().int(),
      generation: z.number().int(),
      issuedAt: z.number().int(),
      manifest: z.string(),
      keyId: z.string(),
      signature: bytesSchema,
    })
    .optional(),
  /** The newest of each credential that was ever served, by id. */
  seen: z.record(
    z.string(),
    // What an earlier release saw has no name.
    z.strictObject({ version: z.number().int().positive(), signature: z.string(), name: z.string().optional() }),
  ),
  /** Ids of credentials that were taken back, or whose name another one has since: served never again. */
  revoked: z.array(z.string()),
});

export interface SeenCredential {
  readonly version: number;
  readonly signature: string;
  readonly name?: string | undefined;
}

/** What a node remembers of its desired state, in one file: all of it changes, or nothing. */
export interface FleetState {
  readonly bundle: SignedBundle | undefined;
  readonly seen: ReadonlyMap<string, SeenCredential>;
  readonly revoked: ReadonlySet<string>;
}

export const NO_STATE: FleetState = { bundle: undefined, seen: new Map(), revoked: new Set() };

/** Reads `fleet/state.json`. Fails with `state.corrupt`. */
export async function readFleetState(stateDir: string): Promise<FleetState> {
  const stored = await readPrivateFile(pathOf(stateDir));
  if (stored === undefined) return NO_STATE;
  try {
    const { bundle, seen, revoked } = fileSchema.parse(JSON.parse(stored.toString()));
    return { bundle, seen: new Map(Object.entries(seen)), revoked: new Set(revoked) };
  } catch (cause) {
    const detail = `${pathOf(stateDir)} cannot be read. Put it back from a backup, or leave the server and enroll anew.`;
    throw new Problem("state.corrupt", { detail, cause });
  }
}

/** Durable when it returns. */
export async function writeFleetState(stateDir: string, { bundle, seen, revoked }: FleetState): Promise<void> {
  await mkdir(join(stateDir, "fleet"), { recursive: true, mode: 0o700 });
  const document = {
    gatehouse_fleet: 1,
    ...(bundle === undefined ? {} : { bundle: { ...bundle, signature: base64url(bundle.signature) } }),
    seen: Object.fromEntries(seen),
    revoked: [...revoked],
  };
  await writeFileAtomic(pathOf(stateDir), JSON.stringify(document));
}

function pathOf(stateDir: string): string {
  return join(stateDir, "fleet", "state.json");
}
