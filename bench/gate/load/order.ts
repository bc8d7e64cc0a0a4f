/** Where a generator goes: through the proxy, or with `proxyPort` 0 to `originPort` directly. */
export interface Way {
  readonly proxyPort: number;
  /** One for each run; tunnels take them in turn. */
  readonly proxyTokens: readonly string[];
  readonly originPort: number;
  readonly host: string;
  /** PEM of the authority that signed what answers. */
  readonly caFile: string;
}

/** What the generator is told to do. One order at a time. */
export type LoadOrder = {
  readonly way: Way;
} /** Requests on warm connections, until so many are answered or the time is up. */ & (
  | { readonly kind: "warm"; readonly connections: number; readonly requests: number; readonly maxSeconds: number }
  /** A tunnel and one request on it, again and again, one after the other. */
  | { readonly kind: "tunnels"; readonly count: number }
  /** A tunnel to each of so many hosts (`h<N>.` before the host), some at a time. */
  | { readonly kind: "hosts"; readonly count: number; readonly concurrency: number }
  /** Tunnels that stay open after one request each; `release` closes them. */
  | { readonly kind: "hold"; readonly count: number; readonly concurrency: number }
  | { readonly kind: "release" }
  | { readonly kind: "download" | "upload"; readonly bytes: number }
  /** Time to the first event; time of an echo. */
  | { readonly kind: "events" | "echo"; readonly count: number }
  /** Resolves when the tunnel that it opens is cut; `ready` is sent when it is open. */
  | { readonly kind: "cut" }
);

/** `seconds` of everything together; `latenciesMs` of each part. */
export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly failures: number;
}
