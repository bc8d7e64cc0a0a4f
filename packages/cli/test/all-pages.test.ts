import { expect, test } from "vitest";
import { allPages } from "../src/operator/all-pages.ts";

test("a list is read page by page to its end", async () => {
  const pages: Record<string, { readonly items: readonly string[]; readonly nextPageToken: string }> = {
    "": { items: ["a", "b"], nextPageToken: "b" },
    b: { items: ["c", "d"], nextPageToken: "d" },
    d: { items: [], nextPageToken: "" },
  };
  const asked: string[] = [];
  const read = async ({ pageToken }: { readonly pageToken: string }) => {
    asked.push(pageToken);
    return pages[pageToken] ?? { items: [], nextPageToken: "" };
  };
  expect(await allPages(read, ({ items }) => items)).toEqual(["a", "b", "c", "d"]);
  expect(asked).toEqual(["", "b", "d"]);
});
