import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import type { Predecessor } from "../../src/holder/gate-protocol.ts";
import { openService } from "./faults.ts";
import { type AskingWorld, injectedIn, type Moment, openAskingWorld, openRelay } from "./handover-world.ts";

const FROZEN = ["follow", "log", "group", "ack", "freshness", "drain"] as const;
const MOMENTS = FROZEN.flatMap((message): Moment[] => [
  { message, when: "before it is heard" },
  { message, when: "before its answer is heard" },
]);
/** A tenth of a second on a machine at rest; on a busy one what the log may be behind before requests are refused. */
const LOST_WITHIN_MS = 1_000;

async function handOver({ first }: AskingWorld): Promise<Predecessor> {
  const { status, body } = await first.request("POST", "/v1/handover");
  expect(status).toBe(200);
  const { control, proxy_port, listeners } = body as Predecessor & { readonly proxy_port: number };
  // The one it names is the parent: this process. A predecessor that does not follow is ended.
  return { pid: first.child.pid ?? 0, control, proxyPort: proxy_port, listeners };
}

async function killed(child: ChildProcess): Promise<void> {
  const gone = child.exitCode === null && child.signalCode === null ? once(child, "exit") : undefined;
  child.kill("SIGKILL");
  await gone;
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
    const predecessor = await handOver(world);
    let successor: ChildProcess | undefined;
    await using relay = await openRelay({ state: world.state, predecessor }, moment, async () => {
      if (successor !== undefined) await killed(successor);
    });
    const onForked = (child: ChildProcess) => {
      successor = child;
    };
    const config = { ...world.config, predecessor: relay.predecessor };
    const starting = world.state.start({ config, onForked }).catch(() => undefined);
    await relay.reached;
    await starting;
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
  // One in some hundred hung on a busy machine, and is not understood: what is held here is the log, not that.
  { timeout: 30_000, retry: 1 },
  async (moment) => {
    await using api = await openService();
    await using world = await openAskingWorld(api);
    const predecessor = await handOver(world);
    let killedAt = 0;
    await using relay = await openRelay({ state: world.state, predecessor }, moment, async () => {
      killedAt = performance.now();
      await killed(world.first.child);
    });
    const config = { ...world.config, predecessor: relay.predecessor };
    const starting = world.state.start({ config });
    await relay.reached;
    await relay[Symbol.asyncDispose]();
    const successor = await starting;
    await world.stop();
    await successor[Symbol.asyncDispose]();
    const entries = await injectedIn(world.state);
    const missing = [...world.answered].filter(([path]) => !entries.has(path));
    expect(world.answered.size).toBeGreaterThan(1);
    expect(missing.filter(([, time]) => time < killedAt - LOST_WITHIN_MS)).toEqual([]);
    expect([...entries.values()].filter((times) => times !== 1)).toEqual([]);
  },
);
