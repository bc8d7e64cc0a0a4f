import type { KeeperLink } from "./keeper-link.ts";

/** A detached run, or a further command in one, whose output is kept and to which somebody may be attached. */
export interface Streamed {
  /** Where its output lies. */
  readonly directory: string;
  readonly keeper: KeeperLink;
  /** Its exit code; `undefined`: it runs. Asked before its output is read, all of that is there. */
  readonly code: () => number | undefined;
}

/** By the id of a run or of a command. Fails with `runs.not_found`, also where its streams are somebody's own. */
export type FindStreamed = (id: string) => Streamed;
