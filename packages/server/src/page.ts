/** A part of a list that has an order. */
export interface Page {
  readonly limit: number;
  /** What the list is ordered by, of the last one before it; empty: it begins. */
  readonly after: string;
}

/** The page that a caller asks for; how much of it at most stands in the wire contract. */
export function readPage(
  { pageSize, pageToken }: { readonly pageSize: number; readonly pageToken: string },
  defaultSize: number,
): Page {
  return { limit: pageSize === 0 ? defaultSize : pageSize, after: pageToken };
}

/** What leads to the next page; empty where this one was the last. */
export function nextPageToken<T>(items: readonly T[], { limit }: Page, orderOf: (item: T) => string): string {
  const last = items.at(-1);
  return items.length < limit || last === undefined ? "" : orderOf(last);
}
