import { Problem } from "@gatehouse/core";
import type { WatchEventsResponse } from "@gatehouse/wire";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { asOperator } from "../operator/open-operator.ts";
import { printJson, printLine, shown } from "../terminal/print.ts";

/** How long the server may be silent before what is there counts as all of it. */
const QUIET_MS = 1_000;
const FIRST_CURSOR = 0n;

/** Prints what happened to nodes and runs behind a cursor; with `--follow`, then what happens, until it is stopped. */
export async function watchEvents(invocation: Invocation): Promise<number> {
  const follows = isSet(invocation, "follow");
  const cursor = readCursor(textOption(invocation, "cursor"));
  if (cursor === FIRST_CURSOR && !follows) {
    throw new Problem("usage.invalid", {
      detail: "Give --follow for what happens from now on, or --cursor with an event's number (1: all that is kept).",
    });
  }
  const print = isSet(invocation, "json") ? printEventJson : printEvent;
  const stop = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stop.abort());
  const quiet = follows ? undefined : setTimeout(() => stop.abort(), QUIET_MS);
  await asOperator(invocation.config.state.dir, async ({ nodes }) => {
    try {
      for await (const event of nodes.watchEvents({ cursor }, { signal: stop.signal, timeoutMs: 0 })) {
        quiet?.refresh();
        print(event);
      }
    } catch (failure) {
      if (!stop.signal.aborted) throw failure;
    } finally {
      clearTimeout(quiet);
    }
  });
  return 0;
}

function readCursor(text: string | undefined): bigint {
  if (text === undefined) return FIRST_CURSOR;
  if (/^[1-9][0-9]{0,15}$/.test(text)) return BigInt(text);
  throw new Problem("usage.invalid", { detail: "--cursor is the number of an event (1: all that is kept)." });
}

function printEventJson({ cursor, time, kind, nodeId, runId, data }: WatchEventsResponse): void {
  printJson({
    cursor: Number(cursor),
    time: new Date(Number(time)).toISOString(),
    kind,
    node: nodeId === "" ? null : nodeId,
    run: runId === "" ? null : runId,
    data: JSON.parse(data) as unknown,
  });
}

function printEvent({ cursor, time, kind, nodeId, runId, data }: WatchEventsResponse): void {
  const at = new Date(Number(time)).toISOString();
  const parts = [String(cursor), at, kind, nodeId, runId, data].filter((part) => part !== "");
  printLine(shown(parts.join("  ")));
}
