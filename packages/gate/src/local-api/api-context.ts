import type { GateAudit } from "../audit/gate-audit.ts";
import type { CredentialStore } from "../credentials/credential-store.ts";
import type { Template } from "../credentials/templates.ts";
import type { ContainerWatch } from "../engines/container-watch.ts";
import type { GrantedCredentials } from "../fleet/granted-credentials.ts";
import type { Changes } from "../holder/changes.ts";
import type { GateStatus, Predecessor } from "../holder/gate-protocol.ts";
import type { RecordStore } from "../records/record-store.ts";
import type { RunRegistry } from "../registry/run-registry.ts";

/** What the local API stands on. */
export interface ApiContext {
  readonly changes: Changes;
  readonly registry: RunRegistry;
  /** The node's own, which are changed here. */
  readonly credentials: CredentialStore;
  /** Those and the organisation's. */
  readonly grants: GrantedCredentials;
  readonly templates: ReadonlyMap<string, Template>;
  readonly containers: Pick<ContainerWatch, "lookWithin">;
  readonly records: RecordStore;
  /** Names that the gate resolves itself. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Addresses (`ip:port`) of Gatehouse itself. */
  readonly ownAddresses: ReadonlySet<string>;
  readonly audit: GateAudit;
  readonly status: () => GateStatus;
  readonly startedAt: number;
  readonly commit: string;
  /** The daemon ends when it has no runs for a while. */
  readonly endsWhenEmpty: boolean;
  /** Socket of the daemon, which answers for sandboxes. */
  readonly nodeSocketPath: string;
  /** Resolved when it answers there: until then another daemon, which is going, might. */
  readonly nodeServes: Promise<void>;
  /** Lets a successor take over. */
  readonly handOver: () => Promise<Predecessor> | undefined;
  readonly requestShutdown: () => void;
}
