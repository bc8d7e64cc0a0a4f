import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { runProcess } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { openService } from "./faults.ts";
import {
  type AskingWorld,
  handOver,
  injectedIn,
  type Moment,
  openAskingWorld,
  openRelay,
  type Relay,
} from "./handover-world.ts";
import type { HolderProcess } from "./holder-process.ts";

/** What the successor sends when it starts, and what it sends later, with what makes it be sent. */
const AT_THE_START = ["follow", "log", "group", "ack", "freshness", "drain"];
const LATER: Readonly<Record<string, (world: AskingWorld, successor: HolderProcess) => Promise<unknown>>> = {
  drop: ({ idleRunId }, successor) => successor.call("endRun", { runId: idleRunId }),
  audit: (_, successor) => limitFiles(successor, 1),
};
const MOMENTS = [...AT_THE_START, ...Object.keys(LATER)].flatMap((message): Moment[] => [
  { message, when: "before it is heard" },
  { message, when: "before its answer is heard" },
]);
/** A tenth of a second on a machine at rest; on a busy one two writes that follow each other, of a second each at most. */
const LOST_WITHIN_MS = 2_500;
/** So long after entries were not taken requests are refused. */
const BEHIND_MS = 1_000;

/** How large a file may be that it writes: with no room for more, its log fails. */
async function limitFiles(holder: HolderProcess, bytes: number | "unlimited"): Promise<void> {
  const args = ["--pid", String(holder.child.pid), `--fsize=${bytes}:unlimited`];
  expect(await runProcess("prlimit", args)).toMatchObject({ code: 0 });
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

async function killed(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await gone(child);
}

/** Resolves when what is done at the moment has been done. Fails when the successor serves and nothing brings it about. */
async function reach({ message }: Moment, relay: Relay, world: AskingWorld, starting: Promise<HolderProcess>) {
  const bringing = starting.then(async (successor) => {
    const bring = LATER[message];
    if (bring === undefined) throw new Error(`the successor serves, and there was no ${message}`);
    await bring(world, successor);
    await relay.begun;
  });
  await Promise.race([relay.begun, bringing]);
  await relay.acted;
}

/** Starts where everything went and ends in order, so that the log is whole. */
async function settle({ state, config }: AskingWorld): Promise<ReadonlyMap<string, number>> {
  const last = await state.start({ config });
  await last[Symbol.asyncDispose]();
  return injectedIn(state);
}

test.each(MOMENTS)(
  "a successor that is killed at $message, $when, costs no entry and doubles none",
  async (moment) => {
    await using api = await openService();
    await using world = await openAskingWorld(api);
    const predecessor = await handOver(world.first);
    let successor: ChildProcess | undefined;
    await using relay = await openRelay({ state: world.state, predecessor }, moment, async () => {
      if (successor !== undefined) await killed(successor);
    });
    const onForked = (child: ChildProcess) => {
      successor = child;
    };
    const config = { ...world.config, predecessor: relay.predecessor };
    const starting = world.state.start({ config, onForked });
    await reach(moment, relay, world, starting);
    await starting.catch(() => undefined);
    await world.next();
    await world.stop();
    await world.first[Symbol.asyncDispose]();
    const entries = await settle(world);
    expect(world.answered.size).toBeGreaterThan(1);
    expect([...world.answered.keys()].filter((path) => entries.get(path) !== 1)).toEqual([]);
    expect([...entries.values()].filter((times) => times !== 1)).toEqual([]);
  },
  60_000,
);

test.each(MOMENTS)(
  "a predecessor that is killed at $message, $when, costs entries of the last moment alone",
  async (moment) => {
    await using api = await openService();
    await using world = await openAskingWorld(api);
    const predecessor = await handOver(world.first);
    let killedAt = 0;
    await using relay = await openRelay({ state: world.state, predecessor }, moment, async () => {
      killedAt = performance.now();
      await killed(world.first.child);
    });
    const config = { ...world.config, predecessor: relay.predecessor };
    const starting = world.state.start({ config });
    await reach(moment, relay, world, starting);
    await relay[Symbol.asyncDispose]();
    const successor = await starting;
    await world.stop();
    await limitFiles(successor, "unlimited");
    await successor[Symbol.asyncDispose]();
    const entries = await injectedIn(world.state);
    const missing = [...world.answered].filter(([path]) => !entries.has(path));
    expect(world.answered.size).toBeGreaterThan(1);
    expect(missing.filter(([, time]) => time < killedAt - LOST_WITHIN_MS)).toEqual([]);
    expect([...entries.values()].filter((times) => times !== 1)).toEqual([]);
  },
  60_000,
);

test.each(MOMENTS.filter(({ message }) => message === "ack"))(
  "an acknowledgement that is lost, $when, is said again: the predecessor's tunnels are served on",
  async (moment) => {
    await using api = await openService();
    await using world = await openAskingWorld(api);
    const predecessor = await handOver(world.first);
    let lostAt = 0;
    await using relay = await openRelay({ state: world.state, predecessor }, moment, (cut) => {
      lostAt = performance.now();
      cut();
    });
    const starting = world.state.start({ config: { ...world.config, predecessor: relay.predecessor } });
    await reach(moment, relay, world, starting);
    await starting;
    while (Math.max(...world.answered.values()) < lostAt + 2 * BEHIND_MS) await world.next();
    expect(world.first.child.exitCode).toBeNull();
  },
  60_000,
);

test("a predecessor that does not hear that it is to accept no more is ended: it would know no new run", async () => {
  await using api = await openService();
  await using world = await openAskingWorld(api);
  const predecessor = await handOver(world.first);
  const moment: Moment = { message: "drain", when: "before it is heard" };
  await using relay = await openRelay({ state: world.state, predecessor }, moment, (cut) => cut());
  await world.state.start({ config: { ...world.config, predecessor: relay.predecessor } });
  await world.stop();
  await gone(world.first.child);
  expect(world.first.child.signalCode).toBe("SIGKILL");
}, 60_000);
