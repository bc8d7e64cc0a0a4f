import { describe, expect, test } from "vitest";
import { CopyPlaces } from "../src/audit/copy-places.ts";
import { atPace } from "../src/reports/at-pace.ts";
import { GroupWriter } from "../src/reports/group-writer.ts";
import { readBatches } from "../src/reports/read-batches.ts";
import {
  MAX_GROUP_BYTES,
  MAX_WAITING_BYTES,
  MAX_WAITING_BYTES_OF_ORG,
  RETRY_UPLOAD_MS,
} from "../src/reports/upload-limits.ts";
import { UploadPlaces } from "../src/reports/upload-places.ts";
import { within } from "../src/reports/within.ts";

const refused = expect.objectContaining({ code: "server.busy" });

test("a node has so many places, and gets them back; another has its own", () => {
  const places = new UploadPlaces(2);
  const first = places.take("a1");
  places.take("a1");
  expect(() => places.take("a1")).toThrow(refused);
  places.take("a2");
  first[Symbol.dispose]();
  using _ = places.take("a1");
  expect(() => places.take("a1")).toThrow(refused);
});

describe("places of copies", () => {
  let now = 0;
  const open = () => new CopyPlaces({ ofOrg: 6, inAll: 8 }, { monotonicMs: () => now });
  const take = (places: CopyPlaces, orgId: string, from: number, count: number) =>
    Array.from({ length: count }, (_, at) => places.take({ orgId, nodeId: `${orgId}${from + at}` }));
  const ended = (taken: readonly { readonly signal: AbortSignal }[]) => taken.filter(({ signal }) => signal.aborted);

  test("are one of a node and six of an organisation", () => {
    const places = open();
    const all = take(places, "a", 0, 6);
    expect(() => take(places, "a", 6, 1)).toThrow(refused);
    expect(() => take(places, "b", 0, 1).concat(take(places, "b", 0, 1))).toThrow(refused);
    all[0]?.[Symbol.dispose]();
    take(places, "a", 0, 1);
    expect(ended(all)).toEqual([]);
  });

  test("that few hold are shared with whoever comes, and nobody takes more than a fair part by it", () => {
    const places = open();
    const [a, b] = [take(places, "a", 0, 6), take(places, "b", 0, 2)];
    const c = take(places, "c", 0, 2);
    expect([ended(a).length, ended(b).length]).toEqual([2, 0]);
    c.push(...take(places, "c", 2, 1));
    expect([ended(a).length, ended(b).length]).toEqual([3, 0]);
    expect(() => take(places, "c", 3, 1)).toThrow(refused);
    expect(ended(c)).toEqual([]);
  });

  test("that as many hold as there are go to who has none, in turn; those that had a turn come behind", () => {
    const places = open();
    const names = ["a", "b", "c", "d", "e", "f", "g", "h"];
    const held = new Map(names.map((orgId) => [orgId, take(places, orgId, 0, 1)[0]]));
    expect(() => take(places, "late", 0, 1)).toThrow(refused);
    held.get("a")?.[Symbol.dispose]();
    expect(() => take(places, "a", 0, 1)).toThrow(refused);
    now += RETRY_UPLOAD_MS;
    take(places, "late", 0, 1);
    expect(() => take(places, "a", 0, 1)).toThrow(refused);
    now += 2 * RETRY_UPLOAD_MS;
    take(places, "a", 0, 1);
    expect(held.get("b")?.signal.aborted).toBe(true);
  });

  test("are kept for nobody who does not come again", () => {
    const places = open();
    const [first] = ["a", "b", "c", "d", "e", "f", "g", "h"].flatMap((orgId) => take(places, orgId, 0, 1));
    expect(() => take(places, "late", 0, 1)).toThrow(refused);
    now += 3 * RETRY_UPLOAD_MS + 1;
    first?.[Symbol.dispose]();
    take(places, "a", 0, 1);
  });
});

test("a stream that drips is not read on, and its sender not waited for", async () => {
  const drip = Promise.withResolvers<never>();
  async function* messages() {
    yield 10;
    yield 10;
    yield 1;
    await drip.promise;
  }
  const seen: number[] = [];
  const read = async () => {
    const pace = { bytes: 10, everyMs: 50, sizeOf: (one: number) => one };
    for await (const size of atPace(messages(), pace)) seen.push(size);
  };
  await expect(read()).rejects.toMatchObject({ code: "uploads.too_much" });
  expect(seen).toEqual([10, 10, 1]);
});

test("a stream whose place is another's ends at once", async () => {
  const taken = new AbortController();
  async function* messages() {
    yield 1;
    await Promise.withResolvers<never>().promise;
  }
  const read = async () => {
    for await (const _ of within(messages(), 60_000, taken.signal)) taken.abort();
  };
  await expect(read()).rejects.toMatchObject({ code: "server.busy", retryAfterMs: RETRY_UPLOAD_MS });
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
