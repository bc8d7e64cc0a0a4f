import { readTrust, type SignedFreshness } from "@gatehouse/kit";
import { beforeEach, expect, test } from "vitest";
import { FreshnessKeeper } from "../../src/fleet/freshness-keeper.ts";
import { HostileServer } from "./hostile-server.ts";

const BOUND_MS = 900_000;
const BOUND_S = 900;

let server: HostileServer;
const clock = { wall: 1_000_000, sinceBoot: 50, bootId: "boot-1" };
const bootClock = () => ({ now: () => clock.wall, uptime: () => clock.sinceBoot, bootId: clock.bootId });
const open = () => FreshnessKeeper.open(server.directory, BOUND_MS, bootClock());

beforeEach(async () => {
  server = await HostileServer.open();
  Object.assign(clock, { wall: 1_000_000, sinceBoot: 50, bootId: "boot-1" });
  return () => server[Symbol.asyncDispose]();
});

async function hear(keeper: FreshnessKeeper, freshness: SignedFreshness): Promise<void> {
  const trust = await readTrust(server.directory);
  if (trust === undefined) throw new Error("the node has no server");
  await keeper.hear(freshness, trust, { epoch: 1, generation: 1 });
}

test("nothing heard is stale; each newer word counts from when it was heard, since boot", async () => {
  const keeper = await open();
  expect(keeper.untilSeconds).toBe(0);
  await hear(keeper, server.word(10));
  expect(keeper.untilSeconds).toBe(50 + BOUND_S);
  clock.sinceBoot = 80;
  await hear(keeper, server.word(11));
  expect(keeper.untilSeconds).toBe(80 + BOUND_S);
});

test("a word that was heard before, is nobody's, or of a generation or epoch that is not served extends nothing", async () => {
  const keeper = await open();
  await hear(keeper, server.word(10));
  clock.sinceBoot = 400;
  const ahead = [server.word(20, { generation: 2 }), server.word(20, { epoch: 2 })];
  const forged = [server.word(20, { by: server.stranger }), { ...server.word(20), serverTime: 30 }];
  for (const bad of [server.word(10), server.word(9), ...ahead, ...forged]) {
    await expect(hear(keeper, bad)).rejects.toMatchObject({ code: "bundle.refused" });
  }
  expect(keeper.untilSeconds).toBe(50 + BOUND_S);
});

test("a word for another epoch than that of the key that signed it is never heard: later ones would all be older", async () => {
  const keeper = await open();
  const trust = await readTrust(server.directory);
  if (trust === undefined) throw new Error("the node has no server");
  const far = { epoch: 2 ** 52, generation: 1 };
  await expect(keeper.hear(server.word(20, far), trust, far)).rejects.toMatchObject({ code: "bundle.refused" });
  expect(keeper.untilSeconds).toBe(0);
  await hear(keeper, server.word(10));
  expect(keeper.untilSeconds).toBe(50 + BOUND_S);
});

test("it is remembered: since the same boot as it was, after a reboot by the wall clock, backwards not at all", async () => {
  await hear(await open(), server.word(10));
  expect((await open()).untilSeconds).toBe(50 + BOUND_S);
  Object.assign(clock, { bootId: "boot-2", sinceBoot: 5, wall: 1_000_000 + 60_000 });
  expect((await open()).untilSeconds).toBe(5 + BOUND_S - 60);
  clock.wall = 999_999;
  expect((await open()).untilSeconds).toBe(0);
});
