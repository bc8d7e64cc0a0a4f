import type { RunId } from "@gatehouse/core";
import type { TerminalSize } from "@gatehouse/kit";
import type { DriverName } from "../sandbox/driver.ts";

/** Answer to a created run. `launch` is for whoever starts the keeper of a foreground run. */
export interface CreatedRun {
  readonly run_id: string;
  readonly driver: DriverName;
  readonly exposed: boolean;
  readonly allowed: readonly string[];
  readonly warnings: readonly string[];
  readonly launch?: string;
}

/** Of runs that are asked for from outside this machine. */
export interface CreateOptions {
  /** Default: a new one. */
  readonly runId?: RunId;
  /** Whether something beside the runs has the socket of that name. */
  readonly isHeld?: (keeper: string) => boolean;
  /** The drivers that it may get where the request names none, best first. Default: what the node is configured for. */
  readonly drivers?: readonly DriverName[];
  /** Directories in one of which the workspace must lie; absent: anywhere. */
  readonly workspaceRoots?: readonly string[];
  /** The workspace was made for this run and goes with it. */
  readonly ownsWorkspace?: boolean;
  /** Its standard input stays open for whoever attaches to it. */
  readonly takesInput?: boolean;
  /** Of a detached run: its streams are a terminal of this size. */
  readonly terminal?: TerminalSize;
  /** A command of the server started it: others may act in it as far as the node lets commands go. */
  readonly isCommanded?: boolean;
}
