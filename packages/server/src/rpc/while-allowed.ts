import type { HandlerContext } from "@connectrpc/connect";
import { linkSignals } from "@gatehouse/core";
import type { Bus } from "../bus/bus.ts";
import { operatorCaller, STILL_ALLOWED } from "./caller.ts";
import { nextChange } from "./next-change.ts";

/**
 * What a stream to a member sends, until the member may no longer call it: the key or session is asked for again at each
 * change of the organisation's people, and every few seconds. The stream then fails as a call would.
 */
export async function* whileAllowed<T>(
  context: Pick<HandlerContext, "values" | "signal">,
  bus: Bus,
  open: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncGenerator<T> {
  const stop = new AbortController();
  using linked = linkSignals(context.signal, stop.signal);
  const asking = askAgain(context, bus, linked.signal).catch((failure: unknown) => stop.abort(failure));
  try {
    for await (const item of open(linked.signal)) {
      if (stop.signal.aborted) break;
      yield item;
    }
    if (stop.signal.aborted) throw stop.signal.reason;
  } finally {
    stop.abort();
    await asking;
  }
}

async function askAgain({ values }: Pick<HandlerContext, "values">, bus: Bus, signal: AbortSignal): Promise<void> {
  const { orgId } = operatorCaller({ values });
  const stillAllowed = values.get(STILL_ALLOWED);
  const changed = nextChange(bus, (message) => message.kind === "people" && message.orgId === orgId);
  while (!signal.aborted) {
    // Asked before reading, so that no change falls between.
    const next = changed(signal);
    await stillAllowed();
    await next;
  }
}
