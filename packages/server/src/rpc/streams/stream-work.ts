import { type Acknowledged, type Acknowledgement, acknowledgeCommands } from "../../commands/acknowledge-commands.ts";
import { type CommandKeys, type SignedOut, takeCommands } from "../../commands/take-commands.ts";
import type { OrgTransaction } from "../../store/org-transaction.ts";
import type { Store } from "../../store/store.ts";
import { type LookingStream, lookForStreams, type Seen } from "../../streams/look-for-streams.ts";
import type { OwnStream } from "../../streams/own-stream.ts";
import { SharedTransactions } from "../../streams/shared-transactions.ts";
import { noteStartedRun } from "./note-started-run.ts";

/** What the streams of a server do together: one command to a whole fleet is a few statements for many nodes. */
export interface StreamWork {
  /** What there is for a stream; `undefined`: it is not the node's any more. */
  readonly looks: SharedTransactions<OrgTransaction, LookingStream, Seen | undefined>;
  readonly takes: SharedTransactions<OrgTransaction, OwnStream, readonly SignedOut[] | undefined>;
  readonly acks: SharedTransactions<OrgTransaction, Acknowledgement, Acknowledged>;
}

export function openStreamWork(store: Store, keys: CommandKeys): StreamWork {
  return {
    looks: new SharedTransactions(store, { work: lookForStreams, isRepeatable: true }),
    // What was taken and is not known to be does not wait any more: its stream ends, and its node comes for it.
    takes: new SharedTransactions(store, {
      work: (tx, streams) => takeCommands(tx, streams, keys),
      isRepeatable: false,
    }),
    // What a node says may be what a database takes from nobody.
    acks: new SharedTransactions(store, { work: acknowledge, isRepeatable: true }),
  };
}

async function acknowledge(tx: OrgTransaction, acks: readonly Acknowledgement[]): Promise<readonly Acknowledged[]> {
  const acknowledged = await acknowledgeCommands(tx, acks);
  for (const one of acknowledged) if (one.done === "ended") await noteStartedRun(tx, one.command);
  return acknowledged;
}
