import type { NetworkPolicyInput, RunId } from "@gatehouse/core";
import type { McpServer } from "./mcp-server.ts";

/** Where a run's connections arrive: the listener in its own sandbox, or the shared loopback listener. */
export type RunPlace = { readonly kind: "sandbox"; readonly keeper: string } | { readonly kind: "shared" };

/**
 * One header that the gate sets on requests to matching hosts. `value` is the whole header value, ready to send
 * (format applied, Basic part encoded). It is plaintext: instances live only in the gate's own processes.
 */
export interface Injection {
  /** Name of the grant, or `undefined` for a credential that came inline over the local API without one. */
  readonly grant: string | undefined;
  /**
   * Name of the stored credential, whose one value may go to several headers of a request: to those that the client
   * fills, else to the first alone. `undefined` where it came inline: each of those stands for itself.
   */
  readonly credential: string | undefined;
  /** `host`, `host:port` or `*.suffix[:port]`, normalised. Without a port: any port that policy allows. */
  readonly host: string;
  /** Upper case; absent = every method. */
  readonly methods: readonly string[] | undefined;
  /** Path patterns as in policy; absent = every path. */
  readonly paths: readonly string[] | undefined;
  /** Lower-case header name that this grant owns on the host. */
  readonly header: string;
  readonly value: string;
  /** May stand in cleartext requests (`http://`). Only a grant that says so. */
  readonly allowCleartext: boolean;
  /** The organisation's: sent only while its server was heard of lately. */
  readonly needsFreshness?: boolean;
}

/** A value that must not come back to the sandbox, and what overwrites it (same length in bytes). */
export interface ScrubbedValue {
  readonly value: string;
  readonly overwrite: string;
}

/**
 * A header in which a placeholder of the run is replaced by the real value. Unlike an injection it adds nothing to a
 * request that does not ask for it.
 */
export interface HeaderSlot {
  readonly grant: string | undefined;
  /** `host`, `host:port` or `*.suffix[:port]`. */
  readonly host: string;
  /** Lower case. */
  readonly header: string;
  readonly placeholder: string;
  readonly value: string;
}

/** What is done to answers of a host, beside what always is. */
export const TRANSFORMER_KINDS = ["response-scrub", "oauth-endpoint-workaround"] as const;

export interface Transformer {
  readonly host: string;
  readonly kind: (typeof TRANSFORMER_KINDS)[number];
}

export interface HostHeader {
  readonly host: string;
  readonly name: string;
  readonly value: string;
}

/**
 * Everything a worker needs to serve one run, replaced whole whenever anything changes: a request looks the run up,
 * keeps the object it found, and never sees half of a change. Holds plaintext credentials.
 */
export interface RunSnapshot {
  readonly runId: RunId;
  readonly agent: string | undefined;
  readonly project: string | undefined;
  /** SHA-256 of the run token's ASCII hex text, lower-case hex. */
  readonly tokenHash: string;
  readonly place: RunPlace;
  /** Registered by an outside tool: it may also come in over the addresses of `gate.listen`. */
  readonly isExternal: boolean;
  /** Where its connections to those addresses must come from; `undefined` until its container is named. */
  readonly containerAddresses: readonly string[] | undefined;
  readonly policy: NetworkPolicyInput;
  /** The organisation's policies: a request must be allowed by each of them too. */
  readonly ceilings?: readonly NetworkPolicyInput[];
  readonly injections: readonly Injection[];
  readonly slots: readonly HeaderSlot[];
  readonly transformers: readonly Transformer[];
  readonly mcpServers: readonly McpServer[];
  readonly extraHeaders: readonly HostHeader[];
  readonly removeHeaders: readonly { readonly host: string; readonly name: string }[];
  /** Placeholders shown to the run; one outside its slot, or the header that its grant owns, is refused. */
  readonly placeholders: readonly { readonly grant: string | undefined; readonly text: string }[];
  readonly scrub: readonly ScrubbedValue[];
  /** Hosts whose bodies are scrubbed beside those of `injections`: where values went that were taken back since. */
  readonly scrubHosts: readonly string[];
}
