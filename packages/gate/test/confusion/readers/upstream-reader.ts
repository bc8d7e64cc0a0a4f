/** One request as a server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly host: string;
  readonly bodyBytes: number;
}

/** What a server made of the bytes of one connection. */
export interface Reading {
  readonly requests: readonly SeenRequest[];
  /** Whether it refused what came behind them. */
  readonly hasRefused: boolean;
}

/** A server that is in wide use, as a judge of what the gate sends. */
export interface UpstreamReader extends AsyncDisposable {
  readonly name: string;
  /** Reads each connection's bytes on its own. */
  read(connections: readonly Buffer[]): Promise<readonly Reading[]>;
}
