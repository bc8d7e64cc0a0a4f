import type { Readable } from "node:stream";

/** The standard streams of a sandbox, and what becomes of them. */
export interface SandboxStreams extends AsyncDisposable {
  /** What the sandbox gets, for `spawn`. */
  readonly stdio: readonly ("inherit" | "ignore" | number)[];
  /** What it says on standard error, where that comes to us and not to the caller. */
  readonly errors: Readable | undefined;
  /** The sandbox has its ends: ours of them go. */
  release(): void;
  /** Copies what goes through them from now on. */
  follow(): void;
}
