import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Clock, Problem, parseResourceName, type RunId, systemClock } from "@gatehouse/core";
import type { ChangeLog, GateEvent } from "../../src/audit/gate-audit.ts";
import { CredentialStore } from "../../src/credentials/credential-store.ts";
import { openNodeKey } from "../../src/credentials/node-key.ts";
import { parseRegistration, type Registration } from "../../src/registry/parse-registration.ts";
import type { RunPublisher } from "../../src/registry/registry-deps.ts";
import { RunRegistry } from "../../src/registry/run-registry.ts";
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

/** Keeps what is put on record. `refuses` makes it take nothing, as a log on a full disk does. */
export class Recorded implements ChangeLog {
  readonly events: GateEvent[] = [];
  refuses = false;

  async attempt<T>(event: GateEvent, act: () => Promise<T>): Promise<T> {
    await this.settled();
    this.note(event);
    try {
      return await act();
    } catch (failure) {
      this.note({ ...event, kind: `${event.kind}_failed` });
      throw failure;
    }
  }

  note(event: GateEvent): void {
    this.events.push(event);
  }

  async settled(): Promise<void> {
    if (this.refuses) throw new Problem("audit.unwritable");
  }

  get kinds(): readonly string[] {
    return this.events.map(({ kind }) => kind);
  }
}

export interface RegistryUnderTest {
  readonly registry: RunRegistry;
  readonly credentials: CredentialStore;
  readonly served: Served;
  readonly audit: Recorded;
}

/** Opens registry and store on a directory, as a start of the key-holder does. */
export async function openRegistry(directory: string, clock: Clock = systemClock): Promise<RegistryUnderTest> {
  await mkdir(join(directory, "credentials"), { recursive: true, mode: 0o700 });
  const key = await openNodeKey(directory);
  const credentials = await CredentialStore.open(join(directory, "credentials"), key, clock);
  const served = new Served();
  const audit = new Recorded();
  const registry = await RunRegistry.open({ credentials, key, clock, stateDir: directory, publisher: served, audit });
  return { registry, credentials, served, audit };
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
