import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Clock } from "@gatehouse/core";
import type { CertificateAuthority } from "@gatehouse/kit";
import { CredentialStore } from "../credentials/credential-store.ts";
import { type NodeKey, openNodeKey } from "../credentials/node-key.ts";
import { loadTemplates, type Template } from "../credentials/templates.ts";
import { FleetVault } from "../fleet/fleet-vault.ts";
import { FreshnessKeeper, systemBootClock } from "../fleet/freshness-keeper.ts";
import { AllCredentials } from "../fleet/granted-credentials.ts";
import type { GateConfig } from "./gate-protocol.ts";
import { openInterceptionCa } from "./interception-ca.ts";

/** What the key-holder alone holds. */
export interface Vault {
  readonly key: NodeKey;
  readonly ca: CertificateAuthority;
  readonly templates: ReadonlyMap<string, Template>;
  readonly credentials: CredentialStore;
  readonly fleet: FleetVault;
  /** Those of both. */
  readonly grants: AllCredentials;
  readonly freshness: FreshnessKeeper;
}

/** Opens it. What cannot be opened takes no part and is named. Fails with `state.…`. */
export async function openVault(
  { stateDir, stalenessBoundMs }: Pick<GateConfig, "stateDir" | "stalenessBoundMs">,
  clock: Clock,
): Promise<Vault> {
  for (const folder of ["credentials", "keepers"])
    await mkdir(join(stateDir, folder), { recursive: true, mode: 0o700 });
  const key = await openNodeKey(stateDir);
  const templates = await loadTemplates();
  const credentials = await CredentialStore.open(join(stateDir, "credentials"), key, clock);
  const fleet = await FleetVault.open({ stateDir, key, templates });
  return {
    key,
    ca: await openInterceptionCa(stateDir, clock.now()),
    templates,
    credentials,
    fleet,
    grants: new AllCredentials(credentials, fleet),
    freshness: await FreshnessKeeper.open(stateDir, stalenessBoundMs, await systemBootClock()),
  };
}
