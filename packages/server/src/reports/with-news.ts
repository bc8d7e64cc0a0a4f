import type { EventRecords } from "./event-records.ts";

/** A transaction that says, after its work, whether it appended events: then whoever watches is to be woken. */
export async function withNews<Tx extends { readonly events: EventRecords }, T>(
  tx: Tx,
  work: (tx: Tx) => Promise<T>,
): Promise<{ readonly result: T; readonly hasNews: boolean }> {
  let hasNews = false;
  const append: EventRecords["append"] = (events) => {
    hasNews ||= events.length > 0;
    return tx.events.append(events);
  };
  const result = await work({ ...tx, events: { ...tx.events, append } });
  return { result, hasNews };
}
