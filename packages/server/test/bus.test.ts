import { createLog } from "@gatehouse/kit";
import { openFaultProxy, openPostgres, type PostgresServer } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Bus, BusMessage } from "../src/bus/bus.ts";
import { openLocalBus } from "../src/bus/local-bus.ts";
import { openPostgresBus } from "../src/bus/postgres-bus.ts";

const log = createLog({ level: "error", format: "json", write: () => undefined });
const CHANGE: BusMessage = { kind: "enrollment", orgId: "o", id: "e" };

/** What one listener hears, in order, and a wait for the next of it. */
function listen(bus: Bus) {
  const heard: (BusMessage | "gap")[] = [];
  let wake = Promise.withResolvers<void>();
  const hear = (what: BusMessage | "gap") => {
    heard.push(what);
    wake.resolve();
  };
  const subscription = bus.subscribe({ onMessage: hear, onGap: () => hear("gap") });
  const until = async (isEnough: () => boolean) => {
    while (!isEnough()) {
      await wake.promise;
      wake = Promise.withResolvers();
    }
  };
  return { heard, until, [Symbol.dispose]: () => subscription[Symbol.dispose]() };
}

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await openPostgres();
});
afterAll(() => postgres[Symbol.asyncDispose]());

/** Two replicas' ends of one bus; a server that is alone has one end. */
const BUSES = [
  {
    name: "the local bus",
    open: async () => {
      const bus = openLocalBus();
      return [bus, bus] as const;
    },
  },
  {
    name: "the PostgreSQL bus",
    open: async () => [await openPostgresBus(postgres.url(), log), await openPostgresBus(postgres.url(), log)] as const,
  },
];

describe.each(BUSES)("on $name", ({ open }) => {
  test("a message reaches the listeners of every replica, its own at once", async () => {
    const [a, b] = await open();
    await using _a = a;
    await using _b = b;
    using own = listen(a);
    using other = listen(b);
    a.publish(CHANGE);
    expect(own.heard).toEqual([CHANGE]);
    await other.until(() => other.heard.length > 0);
    expect(other.heard).toEqual([CHANGE]);
    b.publish({ kind: "session", orgId: "o", nodeId: "n" });
    await own.until(() => own.heard.length > 1);
    expect(own.heard).toEqual([CHANGE, { kind: "session", orgId: "o", nodeId: "n" }]);
  });

  test("what is published in a burst arrives in order, each once", async () => {
    const [a, b] = await open();
    await using _a = a;
    await using _b = b;
    using other = listen(b);
    const sent = Array.from({ length: 1_000 }, (_, at) => ({ kind: "events", orgId: `o${at}` }) as const);
    for (const message of sent) a.publish(message);
    await other.until(() => other.heard.length >= sent.length);
    expect(other.heard).toEqual(sent);
  });

  test("who has ended the subscription hears nothing more", async () => {
    const [a, b] = await open();
    await using _a = a;
    await using _b = b;
    using left = listen(b);
    left[Symbol.dispose]();
    using other = listen(b);
    a.publish(CHANGE);
    await other.until(() => other.heard.length > 0);
    expect(left.heard).toEqual([]);
  });
});

describe("PostgreSQL", () => {
  test("a broken connection is opened again, and everybody looks again, here and there", async () => {
    await using a = await openPostgresBus(postgres.url(), log);
    await using b = await openPostgresBus(postgres.url(), log);
    using own = listen(a);
    using other = listen(b);
    await postgres.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'gatehouse bus'",
    );
    await own.until(() => own.heard.includes("gap"));
    await other.until(() => other.heard.includes("gap"));
    a.publish(CHANGE);
    await other.until(() => other.heard.some((one) => one !== "gap"));
    expect(other.heard.filter((one) => one !== "gap")).toEqual([CHANGE]);
  });

  test("what is published while the database is away is made good by looking again", async () => {
    await using server = await openPostgres();
    await using a = await openPostgresBus(server.url(), log);
    await using b = await openPostgresBus(server.url(), log);
    await server.stop("SIGKILL");
    using own = listen(a);
    using other = listen(b);
    for (let at = 0; at < 10_000; at += 1) a.publish({ kind: "events", orgId: `o${at}` });
    await server.start();
    await own.until(() => own.heard.includes("gap"));
    await other.until(() => other.heard.includes("gap"));
    // What waits may still be all there is room for: then the change is told by one more word to look again.
    const before = other.heard.length;
    a.publish(CHANGE);
    await other.until(() => other.heard.slice(before).some((one) => one === "gap" || one.kind === "enrollment"));
  });

  test("a connection that vanished without a word is given up, and everybody looks again", async () => {
    await using proxy = await openFaultProxy(() => ({ path: postgres.socketPath }));
    await using a = await openPostgresBus(postgres.urlBy(proxy.port), log);
    await using b = await openPostgresBus(postgres.url(), log);
    using own = listen(a);
    using other = listen(b);
    const startedMs = performance.now();
    proxy.vanish();
    b.publish(CHANGE);
    a.publish(CHANGE);
    await Promise.all([own, other].map(({ heard, until }) => until(() => heard.includes("gap"))));
    // Five seconds until it is asked, five for the answer.
    expect(performance.now() - startedMs).toBeLessThan(15_000);
    b.publish({ kind: "events", orgId: "o" });
    await own.until(() => own.heard.some((one) => one !== "gap" && one.kind === "events"));
  });

  test("words of others on the channel are no messages", async () => {
    await using bus = await openPostgresBus(postgres.url(), log);
    using own = listen(bus);
    const words = [
      "",
      "x",
      "null",
      '{"kind":"enrollment","orgId":1,"id":"e"}',
      '{"kind":"toString"}',
      "y".repeat(7_000),
    ];
    for (const word of words) await postgres.sql(`select pg_notify('gatehouse', '${word}')`);
    await postgres.sql(`select pg_notify('gatehouse', '${JSON.stringify(CHANGE)}')`);
    await own.until(() => own.heard.length > 0);
    expect(own.heard).toEqual([CHANGE]);
  });

  test("a message carries ids alone: more than that is a bug, and nothing is sent", async () => {
    await using bus = await openPostgresBus(postgres.url(), log);
    expect(() => bus.publish({ kind: "events", orgId: "o".repeat(2_000) })).toThrow(RangeError);
  });

  test("a database that cannot be reached is named as such", async () => {
    await expect(openPostgresBus("postgresql://x@localhost/x?host=/nowhere", log)).rejects.toMatchObject({
      code: "store.unreachable",
    });
  });
});
