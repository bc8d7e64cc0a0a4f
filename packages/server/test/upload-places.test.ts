import { expect, test } from "vitest";
import { GroupWriter } from "../src/reports/group-writer.ts";
import { MAX_WAITING_BYTES, MAX_WAITING_BYTES_OF_ORG } from "../src/reports/upload-limits.ts";
import { UploadPlaces } from "../src/reports/upload-places.ts";

const refused = expect.objectContaining({ code: "server.busy" });

test("a node, an organisation and all of them have so many places, and get them back", () => {
  const places = new UploadPlaces({ ofNode: 1, ofOrg: 2, inAll: 3 });
  const first = places.take({ orgId: "a", nodeId: "a1" });
  expect(() => places.take({ orgId: "a", nodeId: "a1" })).toThrow(refused);
  places.take({ orgId: "a", nodeId: "a2" });
  expect(() => places.take({ orgId: "a", nodeId: "a3" })).toThrow(refused);
  places.take({ orgId: "b", nodeId: "b1" });
  expect(() => places.take({ orgId: "c", nodeId: "c1" })).toThrow(refused);
  first[Symbol.dispose]();
  expect(() => places.take({ orgId: "a", nodeId: "a2" })).toThrow(refused);
  using _ = places.take({ orgId: "a", nodeId: "a1" });
});

test("what waits for one organisation is bounded, so that there is room for another; what is written makes room", async () => {
  const written: string[] = [];
  const turn = Promise.withResolvers<void>();
  const writer = new GroupWriter<string, string>(async (_orgId, items) => {
    await turn.promise;
    written.push(...items);
    return items;
  });
  const half = MAX_WAITING_BYTES_OF_ORG / 2;
  const first = [writer.submit("a", "a1", half), writer.submit("a", "a2", half)];
  await expect(writer.submit("a", "a3", 1)).rejects.toMatchObject({ code: "server.busy", retryAfterMs: 5_000 });
  first.push(writer.submit("b", "b1", half));
  turn.resolve();
  expect(await Promise.all(first)).toEqual(["a1", "a2", "b1"]);
  expect(await writer.submit("a", "a4", half)).toBe("a4");
  expect(written.sort()).toEqual(["a1", "a2", "a4", "b1"]);
});

test("what waits for all organisations is bounded", async () => {
  const turn = Promise.withResolvers<void>();
  const writer = new GroupWriter<string, string>(async (_orgId, items) => {
    await turn.promise;
    return items;
  });
  const orgs = Array.from({ length: MAX_WAITING_BYTES / MAX_WAITING_BYTES_OF_ORG }, (_, at) => `org-${at}`);
  const all = orgs.map((orgId) => writer.submit(orgId, orgId, MAX_WAITING_BYTES_OF_ORG));
  await expect(writer.submit("late", "late", 1)).rejects.toMatchObject({ code: "server.busy" });
  turn.resolve();
  expect(await Promise.all(all)).toEqual(orgs);
});
