import { parseRunId } from "@gatehouse/core";
import { createLog } from "@gatehouse/kit";
import { eventually } from "@gatehouse/testbed";
import { describe, expect, test } from "vitest";
import { ContainerWatch } from "../../src/engines/container-watch.ts";
import type { Engine, EngineContainer } from "../../src/engines/engine.ts";
import type { RegisteredRun } from "../../src/registry/registered-run.ts";

const ID = "0123456789abcdef".repeat(4);
const log = createLog({ level: "error", format: "json" });

/** An engine whose containers a test decides on. */
class FakeEngine implements Engine {
  readonly name: string;
  containers: readonly EngineContainer[] | "fails" | "absent" = [];
  lists = 0;
  #wake: (() => void) | undefined;

  constructor(name: string) {
    this.name = name;
  }

  async isThere(): Promise<boolean> {
    return this.containers !== "absent";
  }

  async listContainers(): Promise<readonly EngineContainer[]> {
    this.lists += 1;
    if (typeof this.containers === "string") throw new Error("the engine does not answer");
    return this.containers;
  }

  async *events(signal: AbortSignal): AsyncGenerator<unknown> {
    while (!signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
      if (!signal.aborted) yield {};
    }
  }

  get isFollowed(): boolean {
    return this.#wake !== undefined;
  }

  say(): void {
    this.#wake?.();
  }
}

function container(fields: Partial<EngineContainer> = {}): EngineContainer {
  return { id: ID, names: ["web"], state: "live", addresses: ["172.18.0.2"], ...fields };
}

function run(runId: string, containerId: string | undefined): RegisteredRun {
  return {
    runId: parseRunId(runId),
    tokenHash: "00".repeat(32),
    registeredAt: 0,
    containerId,
    agent: undefined,
    project: undefined,
    place: { kind: "shared" },
    isExposed: false,
    grants: [],
    placeholders: {},
    policy: { mode: "strict" },
    removeHeaders: [],
    transformers: [],
    mcpServers: [],
    sealedValues: undefined,
  };
}

function watching(runs: RegisteredRun[], ...engines: readonly FakeEngine[]) {
  const ended: string[] = [];
  const addresses: Record<string, readonly string[]> = {};
  const watch = new ContainerWatch({
    engines,
    log,
    runs: {
      list: () => runs,
      noteAddresses: async ({ runId }, noted) => {
        addresses[runId] = noted;
      },
      endGone: async (gone) => {
        ended.push(gone.runId);
        runs.splice(runs.indexOf(gone), 1);
      },
    },
  });
  return { watch, ended, addresses };
}

describe("a run's container", () => {
  test.each([
    ["is found by its id", ID, container()],
    ["is found by a short id", ID.slice(0, 12), container()],
    ["is found by its name", "web", container()],
    ["lives while it is paused, restarted or only made", ID, container({ state: "live", addresses: [] })],
  ])("%s", async (_title, named, listed) => {
    const engine = new FakeEngine("docker");
    engine.containers = [listed];
    await using seen = watchingOne(named, engine);
    await seen.watch.look();
    expect(seen.ended).toEqual([]);
    expect(seen.addresses).toEqual({ r1: listed.addresses });
  });

  test.each([
    ["is not listed by the engine", []],
    ["is listed as ended", [container({ state: "ended" })]],
    ["is listed under an id that only begins alike", [container({ id: `f${ID.slice(1)}`, names: [] })]],
  ])("is gone at once when it %s", async (_title, listed) => {
    const engine = new FakeEngine("docker");
    engine.containers = listed;
    await using seen = watchingOne(ID, engine);
    await seen.watch.look();
    expect(seen.ended).toEqual(["r1"]);
  });

  test.each([
    ["fails", "fails"],
    ["is not there", "absent"],
  ] as const)("is left alone while its engine %s, however often that is", async (_title, state) => {
    const engine = new FakeEngine("docker");
    await using seen = watchingOne(ID, engine);
    engine.containers = [container()];
    await seen.watch.tick();
    engine.containers = state;
    for (let times = 0; times < 5; times += 1) await seen.watch.tick();
    expect(seen.ended).toEqual([]);
    engine.containers = [];
    await seen.watch.tick();
    expect(seen.ended).toEqual(["r1"]);
  });

  test("is gone after three looks in a row at which its answering engine cannot speak for it", async () => {
    const engine = new FakeEngine("docker");
    const failing = [container({ state: "failing" })];
    await using seen = watchingOne(ID, engine);
    engine.containers = failing;
    await seen.watch.tick();
    await seen.watch.tick();
    engine.containers = [container()];
    await seen.watch.tick();
    engine.containers = failing;
    await seen.watch.tick();
    await seen.watch.tick();
    // Looks that an event asked for do not count: a burst of them is not three failures.
    for (let times = 0; times < 5; times += 1) await seen.watch.look();
    expect(seen.ended).toEqual([]);
    await seen.watch.tick();
    expect(seen.ended).toEqual(["r1"]);
  });

  test("belongs to the engine that listed it: another's answer says nothing", async () => {
    const [docker, podman] = [new FakeEngine("docker"), new FakeEngine("podman")];
    docker.containers = [container()];
    await using seen = watchingOne(ID, docker, podman);
    await seen.watch.look();
    docker.containers = "fails";
    await seen.watch.look();
    expect(seen.ended).toEqual([]);
    docker.containers = [];
    podman.containers = "fails";
    await seen.watch.look();
    expect(seen.ended).toEqual(["r1"]);
  });

  test("that no engine listed yet is gone only when every engine that is there has answered", async () => {
    const [docker, podman] = [new FakeEngine("docker"), new FakeEngine("podman")];
    podman.containers = "fails";
    await using seen = watchingOne(ID, docker, podman);
    await seen.watch.look();
    expect(seen.ended).toEqual([]);
    podman.containers = "absent";
    await seen.watch.look();
    expect(seen.ended).toEqual(["r1"]);
  });
});

test("runs without a container are not checked, and without any no engine is asked", async () => {
  const engine = new FakeEngine("docker");
  const seen = watching([run("r1", undefined)], engine);
  await seen.watch.tick();
  expect(engine.lists).toBe(0);
  expect(seen.ended).toEqual([]);
  await seen.watch[Symbol.asyncDispose]();
});

test("a thousand runs cost one list", async () => {
  const engine = new FakeEngine("docker");
  engine.containers = [container()];
  const runs = Array.from({ length: 1_000 }, (_, index) => run(`r${index}`, index % 2 === 0 ? ID : "another"));
  const seen = watching(runs, engine);
  await seen.watch.tick();
  expect(engine.lists).toBe(1);
  expect(seen.ended).toHaveLength(500);
  await seen.watch[Symbol.asyncDispose]();
});

test("an event makes it look at once", async () => {
  const engine = new FakeEngine("docker");
  engine.containers = [container()];
  await using seen = watchingOne(ID, engine);
  await seen.watch.look();
  await eventually("the events being followed", () => engine.isFollowed);
  engine.containers = [];
  engine.say();
  await eventually("the run's end", () => seen.ended.length === 1);
});

test("a run that was named while the engine was asked is not judged by that list", async () => {
  const engine = new FakeEngine("docker");
  const runs = [run("r1", "first")];
  const list = engine.listContainers.bind(engine);
  engine.listContainers = async () => {
    runs.push(run("r2", ID));
    return list();
  };
  const seen = watching(runs, engine);
  await seen.watch.look();
  expect(seen.ended).toEqual(["r1"]);
  await seen.watch[Symbol.asyncDispose]();
});

function watchingOne(containerId: string, ...engines: readonly FakeEngine[]) {
  const seen = watching([run("r1", containerId)], ...engines);
  return { ...seen, [Symbol.asyncDispose]: () => seen.watch[Symbol.asyncDispose]() };
}
