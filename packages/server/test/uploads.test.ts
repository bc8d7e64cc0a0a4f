import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { seededRandom } from "@gatehouse/testbed";
import { UploadEventsRequestSchema, UploadTelemetryRequestSchema } from "@gatehouse/wire";
import { beforeAll, describe, expect, test } from "vitest";
import { forgetOf } from "../src/reports/forget-reports.ts";
import { storeEvents } from "../src/reports/store-events.ts";
import { readEvents } from "../src/rpc/services/read-reports.ts";
import { connectStore } from "../src/store/open-store.ts";
import { DATABASES } from "./databases.ts";
import { type HostUnderTest, type OrgUnderTest, RETENTION } from "./fleet-under-test.ts";
import { openSession } from "./host-session.ts";
import { orgOnDatabase } from "./org-on-database.ts";
import { storedRows } from "./stored-rows.ts";

type Telemetry = MessageInitShape<typeof UploadTelemetryRequestSchema>;
type Reports = MessageInitShape<typeof UploadEventsRequestSchema>;
type RunInit = Exclude<Extract<Reports["payload"], { case: "run" }>, undefined>["value"];

/** A refusal, and the batch for which it is where it names one. */
const refused = (code: string, batch: string | null = null) =>
  expect.objectContaining({
    metadata: expect.toSatisfy(
      (metadata: Headers) => metadata.get("gatehouse-problem") === code && metadata.get("gatehouse-batch") === batch,
    ),
  });

/** A host with its session, as it uploads. */
class Uploader {
  readonly #host: HostUnderTest;
  readonly #session: Awaited<ReturnType<typeof openSession>>;

  private constructor(host: HostUnderTest, session: Awaited<ReturnType<typeof openSession>>) {
    this.#host = host;
    this.#session = session;
  }

  static async open(org: OrgUnderTest, name: string): Promise<Uploader> {
    const host = await org.enroll(name);
    return new Uploader(host, await openSession(host));
  }

  get nodeId(): string {
    return this.#host.registered.nodeId;
  }

  async telemetry(...batches: readonly Telemetry[]) {
    const { gateway } = this.#host.org.fleet;
    const sent = streamOf(batches.map((one) => create(UploadTelemetryRequestSchema, one)));
    return (await gateway.uploadTelemetry(sent, await this.#session.headersFor("UploadTelemetry"))).acknowledged;
  }

  /** A stream of events that stays open. */
  async hold(released: Promise<void>) {
    const { gateway } = this.#host.org.fleet;
    return gateway.uploadEvents(silentUntil(released), await this.#session.headersFor("UploadEvents"));
  }

  async events(...batches: readonly Reports[]) {
    const { gateway } = this.#host.org.fleet;
    const sent = streamOf(batches.map((one) => create(UploadEventsRequestSchema, one)));
    return (await gateway.uploadEvents(sent, await this.#session.headersFor("UploadEvents"))).acknowledged;
  }
}

/** A stream that says nothing until it may end. */
async function* silentUntil(released: Promise<void>): AsyncGenerator<never> {
  await released;
  yield* [];
}

async function* streamOf<T>(messages: readonly T[]) {
  yield* messages;
}

const NOW = Date.now();

function samples(offset: number, values: readonly number[], more: { source?: string; runId?: string } = {}): Telemetry {
  const { source = "gate", runId = "" } = more;
  const list = values.map((value, at) => ({ name: "gate.requests", runId, time: BigInt(NOW - 60_000 + at), value }));
  return {
    source,
    offset: BigInt(offset),
    capturedAt: BigInt(NOW),
    payload: { case: "samples", value: { samples: list } },
  };
}

function run(offset: number, value: RunInit): Reports {
  return { source: "runs", offset: BigInt(offset), capturedAt: BigInt(NOW), payload: { case: "run", value } };
}

function snapshot(offset: number, runs: readonly RunInit[]): Reports {
  const value = { runs: runs as never };
  return { source: "runs", offset: BigInt(offset), capturedAt: BigInt(NOW), payload: { case: "snapshot", value } };
}

const RUNNING = { state: 2, project: "widgets", agent: "claude", driver: "bubblewrap", createdAt: 1n } as const;

describe.each(DATABASES)("on $name", ({ open }) => {
  const on = orgOnDatabase(open);
  let n1: Uploader;
  let n2: Uploader;

  beforeAll(async () => {
    [n1, n2] = [await Uploader.open(on.org, "n1"), await Uploader.open(on.org, "n2")];
  });

  async function stored(nodeId: string) {
    const query = { nodeId, name: "gate.requests", from: 0n, to: BigInt(NOW + 86_400_000) };
    const { samples: found, gaps } = await on.org.nodes.queryTelemetry(query, on.org.headers);
    return { values: found.map(({ value }) => value), gaps };
  }

  const runsOf = async (nodeId: string, includeExited = false) =>
    (await on.org.nodes.listRuns({ nodeId, includeExited }, on.org.headers)).runs;

  test("batches are stored once and acknowledged by source, whatever is sent again", async () => {
    expect(await n1.telemetry()).toEqual({});
    expect(await n1.telemetry(samples(0, [1, 2]), samples(1, [3]))).toEqual({ gate: 1n });
    expect(await n1.telemetry(samples(0, [1, 2]), samples(1, [3]), samples(2, [4]))).toEqual({ gate: 2n });
    expect(await n1.telemetry()).toEqual({ gate: 2n });
    expect((await stored(n1.nodeId)).values.toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4]);
  });

  test("a node's sources are its own: the same name at another node begins at its own start", async () => {
    expect(await n2.telemetry()).toEqual({});
    expect(await n2.telemetry(samples(0, [9]))).toEqual({ gate: 0n });
    expect(await n1.telemetry()).toEqual({ gate: 2n });
    expect((await stored(n2.nodeId)).values).toEqual([9]);
  });

  test("whatever arrives twice, late, side by side and out of order is stored once", async () => {
    const shuffled = await Uploader.open(on.org, "shuffled");
    const random = seededRandom(20_261_126);
    const all = Array.from({ length: 40 }, (_, at) => samples(at, [at]));
    let acknowledged = -1n;
    for (let round = 0; round < 15; round += 1) {
      // Pieces of one log, as connections that broke and came back deliver them: as many as a node may send at once.
      const pieces = Array.from({ length: 2 }, () => {
        const from = random(all.length);
        return shuffled.telemetry(...all.slice(from, from + 1 + random(8)));
      });
      for (const piece of await Promise.allSettled(pieces)) {
        if (piece.status === "rejected") expect(piece.reason).toEqual(refused("uploads.out_of_order"));
        else expect(piece.value.gate ?? -1n).toBeGreaterThanOrEqual(acknowledged);
      }
      const said = (await shuffled.telemetry()).gate ?? -1n;
      expect(said).toBeGreaterThanOrEqual(acknowledged);
      acknowledged = said;
      expect((await stored(shuffled.nodeId)).values.length).toBe(Number(acknowledged) + 1);
    }
    expect(await shuffled.telemetry(...all.slice(Number(acknowledged) + 1))).toEqual({ gate: 39n });
    const { values, gaps } = await stored(shuffled.nodeId);
    expect(values.toSorted((one, other) => one - other)).toEqual(all.map((_, at) => at));
    expect(gaps).toEqual([]);
  });

  test("batches that are missing keep what follows out; a gap that says so lets it in, and is told", async () => {
    await expect(n1.telemetry(samples(5, [5]))).rejects.toEqual(refused("uploads.out_of_order"));
    expect((await stored(n1.nodeId)).values).toHaveLength(4);
    const gap = { through: 4n, batches: 2n, bytes: 900n };
    const said: Telemetry = {
      source: "gate",
      offset: 3n,
      capturedAt: BigInt(NOW),
      payload: { case: "gap", value: gap },
    };
    expect(await n1.telemetry(said, samples(5, [5]))).toEqual({ gate: 5n });
    expect((await stored(n1.nodeId)).gaps).toMatchObject([{ firstOffset: 3n, throughOffset: 4n, batches: 2n }]);
  });

  test("numbers that go back, sizes over the limit and too many sources store nothing", async () => {
    const before = (await stored(n1.nodeId)).values.length;
    const back = n1.telemetry(samples(7, [1]), samples(6, [1]));
    await expect(back).rejects.toEqual(refused("api.malformed"));
    const large = samples(
      6,
      Array.from({ length: 10_000 }, () => 1),
      { runId: "r".repeat(100) },
    );
    await expect(n1.telemetry(large)).rejects.toEqual(refused("uploads.too_much"));
    const long = Array.from({ length: 5 }, (_, at) =>
      samples(
        6 + at,
        Array.from({ length: 10_000 }, () => 1),
        { runId: "r".repeat(60) },
      ),
    );
    await expect(n1.telemetry(...long)).rejects.toEqual(refused("uploads.too_much"));
    const many = Array.from({ length: 20 }, (_, at) => samples(0, [1], { source: `s${at}` }));
    await expect(n1.telemetry(...many)).rejects.toEqual(refused("uploads.too_much"));
    expect((await stored(n1.nodeId)).values).toHaveLength(before);
    expect(await n1.telemetry()).toEqual({ gate: 5n });
  });

  test("two streams of one node that carry the same batches store them once", async () => {
    const before = (await stored(n1.nodeId)).values.length;
    await Promise.all([n1.telemetry(samples(6, [6])), n1.telemetry(samples(6, [6]))]);
    expect((await stored(n1.nodeId)).values).toHaveLength(before + 1);
  });

  test("a snapshot names a node's runs; what the next one does not name is gone", async () => {
    await n1.events(
      snapshot(0, [
        { ...RUNNING, runId: "a1" },
        { ...RUNNING, runId: "a2", grants: ["github"] },
      ]),
    );
    expect((await runsOf(n1.nodeId)).map(({ runId }) => runId).toSorted()).toEqual(["a1", "a2"]);
    await n1.events(run(1, { ...RUNNING, runId: "a1", state: 3, endedAt: 5n, exitCode: 7 }));
    await n1.events(snapshot(2, []));
    expect(await runsOf(n1.nodeId)).toEqual([]);
    const ended = await runsOf(n1.nodeId, true);
    expect(ended.find(({ runId }) => runId === "a1")).toMatchObject({ state: "exited", exitCode: 7 });
    expect(ended.find(({ runId }) => runId === "a2")).toMatchObject({ state: "gone", grants: ["github"] });
    expect(Number(ended[0]?.reportedAt)).toBeGreaterThan(0);
  });

  test("no node reports on another's run, in events or in samples", async () => {
    await n1.events(run(3, { ...RUNNING, runId: "b1" }));
    const theirs = n2.events(run(0, { ...RUNNING, runId: "b1", state: 3 }));
    await expect(theirs).rejects.toEqual(refused("runs.foreign", "runs 0"));
    const behindOwn = [run(0, { ...RUNNING, runId: "own" }), run(1, { ...RUNNING, runId: "b1" })];
    await expect(n2.events(...behindOwn)).rejects.toEqual(refused("runs.foreign", "runs 1"));
    await expect(n2.events(snapshot(0, [{ ...RUNNING, runId: "b1" }]))).rejects.toEqual(
      refused("runs.foreign", "runs 0"),
    );
    const figures = n2.telemetry(samples(1, [1]), samples(2, [1], { runId: "b1" }));
    await expect(figures).rejects.toEqual(refused("runs.foreign", "gate 2"));
    expect(await runsOf(n1.nodeId)).toMatchObject([{ runId: "b1", state: "running" }]);
    expect(await runsOf(n2.nodeId, true)).toEqual([]);
    expect((await stored(n2.nodeId)).values).toEqual([9]);
  });

  test("a node that holds its streams open has no further ones read, and keeps no other node from being heard", async () => {
    const [greedy, modest] = [await Uploader.open(on.org, "greedy"), await Uploader.open(on.org, "modest")];
    const release = Promise.withResolvers<void>();
    const ends = [1, 2, 3].map(() => greedy.hold(release.promise));
    await expect(Promise.race(ends)).rejects.toEqual(refused("server.busy"));
    await modest.events(run(0, { ...RUNNING, runId: "modest-run" }));
    release.resolve();
    const states = (await Promise.allSettled(ends)).map(({ status }) => status);
    expect(states.toSorted()).toEqual(["fulfilled", "fulfilled", "rejected"]);
  });

  test("text that no log can hold as it is costs the other nodes of a group nothing", async () => {
    const [odd, plain] = [await Uploader.open(on.org, "odd"), await Uploader.open(on.org, "plain")];
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const upload = (nodeId: string, value: RunInit) => {
      const { batch } = readEvents(create(UploadEventsRequestSchema, run(0, value)));
      return { nodeId, batches: [batch] };
    };
    const strange = { ...RUNNING, driver: "e\u0301", project: "\u0000", agent: "o\u0308", grants: ["u\u0308"] };
    const group = [
      upload(odd.nodeId, { ...strange, runId: "odd-run" }),
      upload(plain.nodeId, { ...RUNNING, runId: "plain-run" }),
    ];
    const outcomes = await store.inOrg(on.org.orgId, (tx) => storeEvents(tx, group));
    expect(outcomes).toEqual([{ acknowledged: expect.anything() }, { acknowledged: expect.anything() }]);
    expect((await runsOf(plain.nodeId)).map(({ runId }) => runId)).toEqual(["plain-run"]);
    expect(await runsOf(odd.nodeId)).toMatchObject([{ runId: "odd-run", driver: "é" }]);
    const sample = samples(0, [1], { runId: "a\u0000b" });
    await expect(odd.telemetry(sample)).rejects.toEqual(refused("api.malformed"));
  });

  test("who watches gets what happened behind a cursor, then what happens, in order", async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    const cursors: bigint[] = [];
    const watching = (async () => {
      const events = on.org.nodes.watchEvents({ cursor: 1n }, { ...on.org.headers, signal: stop.signal });
      for await (const { cursor, kind, runId } of events) {
        seen.push(`${kind} ${runId}`);
        cursors.push(cursor);
      }
    })().catch(() => undefined);
    await expect.poll(() => seen).toContain("run.running b1");
    await n1.events(run(4, { ...RUNNING, runId: "b1", state: 3, exitCode: 0 }));
    await expect.poll(() => seen.at(-1)).toBe("run.exited b1");
    stop.abort();
    await watching;
    expect(seen.slice(0, 3)).toEqual(["run.running a2", "run.exited a1", "run.gone a2"]);
    expect(cursors).toEqual(cursors.map((_, at) => BigInt(at + 2)));
  });

  test("a cursor that the organisation has not reached is refused, whoever's it may be", async () => {
    const ask = async () => {
      for await (const _ of on.org.nodes.watchEvents({ cursor: 1_000_000n }, on.org.headers))
        throw new Error("an event");
    };
    await expect(ask()).rejects.toEqual(refused("api.malformed"));
  });

  test("a node that was revoked uploads nothing more", async () => {
    const n3 = await Uploader.open(on.org, "n3");
    await n3.telemetry(samples(0, [1]));
    await on.org.nodes.revokeNode({ nodeId: n3.nodeId }, on.org.headers);
    await expect(n3.telemetry(samples(1, [2]))).rejects.toEqual(refused("auth.refused"));
    expect((await stored(n3.nodeId)).values).toEqual([1]);
  });

  test("a long snapshot takes several transactions, between which others have their turn, and says each change once", async () => {
    const many = await Uploader.open(on.org, "many");
    const runs = Array.from({ length: 1_200 }, (_, at) => ({ ...RUNNING, runId: `many-${at}` }));
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const { batch } = readEvents(create(UploadEventsRequestSchema, snapshot(0, runs)));
    const upload = { nodeId: many.nodeId, batches: [batch] };
    const outcomes = await store.inOrg(on.org.orgId, (tx) => storeEvents(tx, [upload, upload]));
    expect(outcomes).toMatchObject(
      [500, 0].map((stored) => ({ rest: { batches: [{ content: { payload: { stored } } }] } })),
    );
    expect(await runsOf(many.nodeId)).toHaveLength(500);
    expect(await many.events()).toEqual({});
    expect(await many.events(snapshot(0, runs), run(1, { ...RUNNING, runId: "many-0", state: 3 }))).toEqual({
      runs: 1n,
    });
    expect(await runsOf(many.nodeId)).toHaveLength(1_199);
    expect(await many.events(snapshot(2, []))).toEqual({ runs: 2n });
    expect(await runsOf(many.nodeId)).toEqual([]);
    const rows = await storedRows(on.database.location, on.org.orgId, "events");
    const kinds = Map.groupBy(
      (rows as unknown as { node_id: string; kind: string }[]).filter(({ node_id }) => node_id === many.nodeId),
      ({ kind }) => kind,
    );
    expect([...kinds].map(([kind, all]) => [kind, all.length])).toEqual([
      ["run.running", 1_200],
      ["run.exited", 1],
      ["run.gone", 1_199],
    ]);
  });

  test("samples are read in the order of time, within a time, by name and up to a limit, however they were packed", async () => {
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const { nodeId } = n2;
    const at = (series: number, index: number) => NOW - 100_000 + index * 70 + series;
    const all = Array.from({ length: 70 }, (_, series) =>
      Array.from({ length: series === 0 ? 1_300 : 20 }, (_, index) => ({ series, index })),
    )
      .flat()
      .map(({ series, index }) => {
        const own = { name: `s${series % 35}`, runId: series < 35 ? "" : "r1" };
        return { ...own, nodeId, time: at(series, index), value: series + index / 2_048 };
      });
    await store.inOrg(on.org.orgId, (tx) => tx.samples.insert(all.toReversed()));
    const windows = [
      { name: "", from: NOW - 100_000, to: NOW - 99_000, limit: 10_000 },
      { name: "", from: NOW - 100_000, to: NOW, limit: 37 },
      { name: "", from: NOW - 99_500, to: NOW, limit: 900 },
      { name: "s0", from: NOW - 60_000, to: NOW - 30_000, limit: 300 },
      { name: "s7", from: 0, to: NOW, limit: 10_000 },
      { name: "s7", from: 0, to: at(7, 0), limit: 10_000 },
    ];
    for (const window of windows) {
      const { name, from, to, limit } = window;
      const within = all.filter((one) => (name === "" || one.name === name) && one.time >= from && one.time < to);
      const expected = within.toSorted((a, b) => a.time - b.time).slice(0, limit);
      expect(await store.inOrg(on.org.orgId, (tx) => tx.samples.list({ nodeId, ...window }))).toEqual(expected);
    }
  });

  test("samples and events are forgotten when they are old, cursors go on", async () => {
    await using store = await connectStore(on.database.location, on.fleet.clock);
    const newest = await store.inOrg(on.org.orgId, ({ events }) => events.newestCursor());
    const forgotten: unknown[] = [];
    const counters = { countForgotten: (some: unknown) => void forgotten.push(some) };
    const forget = () =>
      forgetOf(on.org.orgId, { store, retention: RETENTION, counters }, new AbortController().signal);
    await forget();
    expect(forgotten).toMatchObject([{ samples: 0, events: 0, commands: 0 }]);
    expect((await stored(n1.nodeId)).values.length).toBeGreaterThan(0);
    on.fleet.clock.advance(31 * 86_400_000);
    await forget();
    on.fleet.clock.advance(-31 * 86_400_000);
    expect(await runsOf(n1.nodeId, true)).toEqual([]);
    expect(await stored(n1.nodeId)).toEqual({ values: [], gaps: [] });
    await n1.events(run(5, { ...RUNNING, runId: "c1" }));
    expect(await store.inOrg(on.org.orgId, ({ events }) => events.after(0, 10))).toMatchObject([
      { cursor: newest + 1 },
    ]);
  });

  test("runs are listed a page at a time, the newest first, or by their id", async () => {
    const host = await Uploader.open(on.org, "paged");
    for (const [at, runId] of ["a", "b", "c", "d"].entries()) {
      await host.events(run(at, { ...RUNNING, runId: `page-${runId}` }));
      on.fleet.clock.advance(at === 1 ? 0 : 1_000);
    }
    const list = async (more: object) => {
      const asked = { nodeId: host.nodeId, pageSize: 2, ...more };
      const { runs, nextPageToken } = await on.org.nodes.listRuns(asked, on.org.headers);
      return { ids: runs.map(({ runId }) => runId), nextPageToken };
    };
    const first = await list({});
    expect(first.ids).toEqual(["page-d", "page-b"]);
    const second = await list({ pageToken: first.nextPageToken });
    expect(second.ids).toEqual(["page-c", "page-a"]);
    expect(await list({ pageToken: second.nextPageToken })).toEqual({ ids: [], nextPageToken: "" });
    expect(await list({ runId: "page-c" })).toEqual({ ids: ["page-c"], nextPageToken: "" });
    expect((await list({ runId: "nowhere" })).ids).toEqual([]);
  });
});
