import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, parseResourceName, type RunId, systemClock } from "@gatehouse/core";
import { CredentialStore } from "../../src/credentials/credential-store.ts";
import { openNodeKey } from "../../src/credentials/node-key.ts";
import { parseRegistration, type Registration } from "../../src/registry/parse-registration.ts";
import { type RunPublisher, RunRegistry } from "../../src/registry/run-registry.ts";
import type { RunSnapshot } from "../../src/snapshot/run-snapshot.ts";

/** A whole header value that came inline. */
export const INLINE_VALUE = "Bearer planted-0123456789abcdef";

/** What workers would serve. `refuses` makes the next changes fail, as a worker that cannot follow would. */
export class Served implements RunPublisher {
  readonly runs = new Map<string, RunSnapshot>();
  refuses = false;

  async put(run: RunSnapshot): Promise<void> {
    if (this.refuses) throw new Error("a worker did not follow");
    this.runs.set(run.runId, run);
  }

  async drop(runId: RunId): Promise<void> {
    this.runs.delete(runId);
  }
}

export interface RegistryUnderTest {
  readonly registry: RunRegistry;
  readonly credentials: CredentialStore;
  readonly served: Served;
}

/** Opens registry and store on a directory, as a start of the key-holder does. */
export async function openRegistry(directory: string, clock: Clock = systemClock): Promise<RegistryUnderTest> {
  await mkdir(join(directory, "credentials"), { recursive: true, mode: 0o700 });
  const key = await openNodeKey(directory);
  const credentials = await CredentialStore.open(join(directory, "credentials"), key, clock);
  const served = new Served();
  const registry = await RunRegistry.open({ credentials, key, clock, stateDir: directory, publisher: served });
  return { registry, credentials, served };
}

export function registration(fields: object = {}): Registration {
  return parseRegistration({
    run_id: "r1",
    credentials: [{ host: "api.example.test", header: "Authorization", value: INLINE_VALUE }],
    network_allow: ["api.example.test"],
    ...fields,
  });
}

/** Stores a credential that goes into `X-Key` of `api.example.test`. */
export async function addGrant(credentials: CredentialStore, name: string): Promise<void> {
  const bindings = [{ hosts: ["api.example.test"], header: "X-Key", format: "{value}" }];
  await credentials.add({ name: parseResourceName(name), service: undefined, bindings, value: `planted-${name}` });
}
