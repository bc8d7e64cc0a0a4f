import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import {
  type ChildSpec,
  type Crash,
  childEnvironment,
  createLog,
  openIpcPeer,
  resolveEntry,
  Supervisor,
} from "../../src/index.ts";
import { eventually } from "../temporary-directory.ts";

const entry = fileURLToPath(new URL("small-child.ts", import.meta.url));

interface Calls {
  readonly ping: { readonly params: null; readonly result: number };
  readonly env: { readonly params: null; readonly result: Record<string, string> };
}

function open() {
  const lines: Record<string, unknown>[] = [];
  const crashes: Crash[] = [];
  const started: ChildProcess[] = [];
  const log = createLog({ level: "debug", format: "json", write: (line) => lines.push(JSON.parse(line)) });
  const supervisor = new Supervisor({ log, onCrash: (crash) => void crashes.push(crash) });
  const start = (spec: Partial<ChildSpec> = {}) =>
    supervisor.start({ name: "small", entry, onStart: (child) => void started.push(child), ...spec });
  const said = (msg: string) => lines.filter((line) => line.msg === msg);
  const close = () => supervisor.shutdown(500);
  return { supervisor, lines, crashes, started, start, said, [Symbol.asyncDispose]: close };
}

/** One that ended but was not yet reaped (an orphan's new parent takes its time) is not alive. */
const isAlive = (pid: number) => {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
};

test("a child's output reaches the log line by line with its name, its own log lines keep level and fields", async () => {
  await using world = open();
  const child = world.start();
  await eventually(() => world.said("child speaks").length > 0 && world.said("process wrote").length >= 3);
  expect(world.said("child speaks")[0]).toMatchObject({ level: "warn", process: "small", pid: child.pid });
  const wrote = () => world.said("process wrote").map(({ line }) => line);
  expect(wrote()).toEqual(expect.arrayContaining(["plain out", "plain err", '{"level":"odd"}']));
  await world.supervisor.shutdown();
  await eventually(() => wrote().includes("halfstopped in order"));
});

test("a killed child is back at once, greeted again, and only its first crash is reported", async () => {
  await using world = open();
  const pids: number[] = [];
  const onStart = async (child: ChildProcess) => {
    world.started.push(child);
    const peer = openIpcPeer<Record<never, never>, Calls>(child, {});
    pids.push(await peer.call("ping", null));
  };
  const kept = world.start({ onStart });
  for (let round = 1; round <= 3; round += 1) {
    await eventually(() => pids.length === round);
    expect(kept.pid).toBe(pids.at(-1));
    process.kill(pids.at(-1) ?? 0, "SIGKILL");
  }
  await eventually(() => pids.length === 4);
  expect(new Set(pids).size).toBe(4);
  expect(kept.restarts).toBe(3);
  expect(world.crashes).toEqual([{ name: "small", code: null, signal: "SIGKILL" }]);
  expect(world.said("process ended unexpectedly")).toHaveLength(3);
});

test("a child that crashes at once is started again ever more slowly", async () => {
  await using world = open();
  const startedAt: number[] = [];
  const kept = world.start({ args: ["crash"], onStart: () => void startedAt.push(performance.now()) });
  await eventually(() => kept.restarts >= 3);
  expect(world.crashes).toEqual([{ name: "small", code: 3, signal: null }]);
});

test("a child whose greeting fails is killed and started again", async () => {
  await using world = open();
  let greetings = 0;
  const kept = world.start({
    onStart: () => {
      greetings += 1;
      if (greetings === 1) throw new Error("no handshake");
    },
  });
  await eventually(() => kept.restarts === 1 && kept.pid !== undefined);
  expect(world.said("process could not be started up")).toHaveLength(1);
});

test("shutdown ends children in reverse order, by force those that do not listen, and reports none of it", async () => {
  await using world = open();
  const first = world.start({ name: "first" });
  const deaf = world.start({ name: "deaf", args: ["deaf"] });
  const last = world.start({ name: "last" });
  await eventually(() => world.said("child speaks").length === 3);
  const pids = [first.pid, deaf.pid, last.pid].map((pid) => pid ?? 0);
  await world.supervisor.shutdown(200);
  expect(pids.map(isAlive)).toEqual([false, false, false]);
  expect(world.crashes).toEqual([]);
  expect(world.said("process ended unexpectedly")).toEqual([]);
  expect(world.said("process did not end in time")).toMatchObject([{ process: "deaf" }]);
  const order = world.lines.filter(({ line }) => String(line).includes("stopped in order")).map((line) => line.process);
  expect(order).toEqual(["last", "first"]);
  expect(() => world.start()).toThrow("shutting down");
});

test("children get a short list of variables and no options for Node", async () => {
  process.env.NODE_OPTIONS = "--no-warnings";
  process.env.SOME_API_KEY = "planted";
  try {
    await using world = open();
    const envs: Record<string, string>[] = [];
    const onStart = async (child: ChildProcess) => {
      envs.push(await openIpcPeer<Record<never, never>, Calls>(child, {}).call("env", null));
    };
    world.start({ onStart, env: { GATEHOUSE_MARK: "1" } });
    await eventually(() => envs.length === 1);
    expect(envs[0]).toMatchObject({ GATEHOUSE_MARK: "1", PATH: process.env.PATH });
    expect(envs[0]).not.toHaveProperty("NODE_OPTIONS");
    expect(envs[0]).not.toHaveProperty("SOME_API_KEY");
    expect(childEnvironment()).not.toHaveProperty("SOME_API_KEY");
  } finally {
    delete process.env.NODE_OPTIONS;
    delete process.env.SOME_API_KEY;
  }
});

test("children end within a second when their parent is killed", async () => {
  const script = fileURLToPath(new URL("supervising-parent.ts", import.meta.url));
  const parent = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "ignore"] });
  const [chunk] = (await once(parent.stdout, "data")) as [Buffer];
  const pid = Number(chunk.toString());
  expect(isAlive(pid)).toBe(true);
  const killedAt = performance.now();
  parent.kill("SIGKILL");
  await eventually(() => !isAlive(pid));
  expect(performance.now() - killedAt).toBeLessThan(1_000);
});

test("an entry that was not built is named", () => {
  expect(() => resolveEntry("never-built")).toThrow("dist/never-built.js is not there; build it with: npm run build");
});
