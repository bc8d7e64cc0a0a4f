import type { RequestHead } from "../http1/messages.ts";
import type { Refusal, Tunnel } from "../pipeline/request-context.ts";
import type { RunEntry } from "./run-table.ts";

/** Whose a request is. `relayed`: it stands for this one, at another place than where it came in. */
export type Identified =
  | {
      readonly entry: RunEntry;
      readonly relayed?: { readonly head: RequestHead; readonly tunnel: Tunnel };
    }
  | { readonly refusal: Refusal; readonly entry?: RunEntry };

/** What differs between the proxy's front and the inside of a tunnel. */
export interface SessionRole {
  readonly tunnel: Tunnel | undefined;
  /** To whose share it counts what a request holds before it is whole. */
  readonly holder: string;
  /** The run of a request, looked up anew for each. */
  identify(head: RequestHead): Identified;
  /** Whether a CONNECT may open its tunnel. */
  readonly checkConnect?: (entry: RunEntry, head: RequestHead) => Refusal | undefined;
  /** Takes an allowed CONNECT over, the stream with it; absent inside a tunnel, where CONNECT is refused. */
  readonly onConnect?: (connect: {
    readonly entry: RunEntry;
    readonly head: RequestHead;
    readonly rest: Buffer;
  }) => void;
}
