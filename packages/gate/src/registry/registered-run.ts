import type { NetworkPolicyInput, RunId } from "@gatehouse/core";
import type { FlattenedJWE } from "jose";
import type { McpServer } from "../snapshot/mcp-server.ts";
import type { HeaderSlot, HostHeader, RunPlace, Transformer } from "../snapshot/run-snapshot.ts";

/** A credential value that came with a registration. */
export interface InlineCredential {
  readonly host: string;
  /** Lower case. */
  readonly header: string;
  /** The whole header value. */
  readonly value: string;
  readonly grant: string | undefined;
}

/** One registered run as it is kept. Nothing in it is secret in clear: values are sealed, the token hashed. */
export interface RegisteredRun {
  readonly runId: RunId;
  readonly tokenHash: string;
  /** Unix milliseconds. */
  readonly registeredAt: number;
  readonly containerId: string | undefined;
  readonly agent: string | undefined;
  readonly project: string | undefined;
  readonly place: RunPlace;
  /** The run shares the user's own processes and files. */
  readonly isExposed: boolean;
  readonly grants: readonly string[];
  readonly placeholders: Readonly<Record<string, string>>;
  readonly policy: NetworkPolicyInput;
  readonly removeHeaders: readonly { readonly host: string; readonly name: string }[];
  readonly transformers: readonly Transformer[];
  readonly mcpServers: readonly McpServer[];
  /** JSON of `InlineValues`, sealed to the node's key; absent when there are none. */
  readonly sealedValues: FlattenedJWE | undefined;
}

/** What came with a registration and may be secret. */
export interface InlineValues {
  readonly credentials: readonly InlineCredential[];
  readonly slots: readonly HeaderSlot[];
  readonly extraHeaders: readonly HostHeader[];
}

/** Whether an outside tool registered it: what the node starts itself has a sandbox, or is marked as exposed. */
export function isExternal({ place, isExposed }: RegisteredRun): boolean {
  return place.kind === "shared" && !isExposed;
}
