import { expect, test } from "vitest";
import { GroupWriter } from "../src/reports/group-writer.ts";
import { readBatches } from "../src/reports/read-batches.ts";
import { MAX_GROUP_BYTES, MAX_WAITING_BYTES, MAX_WAITING_BYTES_OF_ORG } from "../src/reports/upload-limits.ts";
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
  const submit = async (orgId: string, item: string, bytes: number) => {
    using _ = writer.reserve(orgId, bytes);
    return await writer.write(orgId, item, bytes);
  };
  const first = [submit("a", "a1", half), submit("a", "a2", half)];
  await expect(submit("a", "a3", 1)).rejects.toMatchObject({ code: "server.busy", retryAfterMs: 5_000 });
  first.push(submit("b", "b1", half));
  turn.resolve();
  expect(await Promise.all(first)).toEqual(["a1", "a2", "b1"]);
  expect(await submit("a", "a4", half)).toBe("a4");
  expect(written.sort()).toEqual(["a1", "a2", "a4", "b1"]);
});

test("what waits for all organisations is bounded", () => {
  const writer = new GroupWriter<string, string>(async (_orgId, items) => items);
  const orgs = Array.from({ length: MAX_WAITING_BYTES / MAX_WAITING_BYTES_OF_ORG }, (_, at) => `org-${at}`);
  const all = orgs.map((orgId) => writer.reserve(orgId, MAX_WAITING_BYTES_OF_ORG));
  expect(() => writer.reserve("late", 1)).toThrow(refused);
  all[0]?.[Symbol.dispose]();
  using _ = writer.reserve("late", 1);
});

test("a stream is stored piece by piece, each of them short; what may take several transactions stands alone", async () => {
  const third = MAX_GROUP_BYTES / 3;
  const sizes = [third, third, 2 * third, 1, 1, MAX_GROUP_BYTES * 4, 1];
  async function* messages() {
    yield* sizes.keys();
  }
  const decode = (offset: number) => {
    const batch = { source: "a", offset, capturedAt: 1, content: { kind: "payload" as const, payload: offset } };
    return { batch, bytes: sizes[offset] ?? 0, isAlone: offset === 3 };
  };
  const { pieces, bytes } = await readBatches(messages(), decode);
  const offsets = pieces.map(({ batches }) => batches.map(({ offset }) => offset));
  expect(offsets).toEqual([[0, 1], [2], [3], [4], [5], [6]]);
  expect(pieces.reduce((sum, piece) => sum + piece.bytes, 0)).toBe(bytes);
  sizes.length = 0;
  expect(await readBatches(messages(), decode)).toEqual({ pieces: [{ batches: [], bytes: 0 }], bytes: 0 });
});
