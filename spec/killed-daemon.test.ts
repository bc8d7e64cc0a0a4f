import { eventually, startWorld, type World } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { expectWhollyThereOrGone, killAtEach, listRuns, type Step } from "./daemon-killed-at-steps.ts";

/** One thread for files, so that which call is the N-th does not change from run to run. */
const COUNTABLE = { variables: { UV_THREADPOOL_SIZE: "1" } };

const ACCEPT = /^\d+ +accept4\((?!.*EAGAIN)/;
const RENAME_RECORD = /^\d+ +rename\(.*\/run\.json"/;
const SYNC_FOLDER = /^\d+ +fsync\(\d+<[^>]*\/runs\/[0-9a-f]{16}>/;

const STEPS_OF_A_START: readonly Step[] = [
  { name: "its record is written", call: RENAME_RECORD },
  { name: "its record stands", call: SYNC_FOLDER, nth: 2 },
  { name: "the gate knows it", call: /^\d+ +mkdir\(.*\/root"/ },
  { name: "its keeper is spawned", call: /^\d+ +clone3?\(/ },
  { name: "its sandbox is built", call: ACCEPT, nth: 2 },
  { name: "its listener is served", call: RENAME_RECORD, nth: 2 },
];

const STEPS_OF_A_STOP: readonly Step[] = [
  { name: "its keeper is asked", call: /^\d+ +connect\(.*\/keepers\// },
  { name: "its keeper says that it ended", call: ACCEPT, nth: 2 },
  { name: "its end is written", call: RENAME_RECORD },
];

const STEPS_OF_A_REMOVAL: readonly Step[] = [
  { name: "its keeper says that it ended", call: ACCEPT },
  { name: "its files are removed", call: /^\d+ +unlink\(.*\/runs\/[0-9a-f]{16}\// },
  { name: "its folder is removed", call: /^\d+ +rmdir\(.*\/runs\/[0-9a-f]{16}"/ },
];

async function startDetached(world: World): Promise<{ readonly code: number; readonly runId: string }> {
  const mark = `TESTBED_WORLD=${world.paths.directory}`;
  const { code, stdout } = await world.cli(["run", "--detach", "--env", mark, "--json", "--", "sleep", "600"]);
  const { run_id: runId = "" } = JSON.parse(stdout || "{}") as { readonly run_id?: string };
  return { code, runId };
}

test("kill -9 of the daemon at each step of a start: what was answered runs, all else is wholly there or gone", async () => {
  await using world = await startWorld(COUNTABLE);
  let answered: readonly string[] = [];
  await killAtEach(world, STEPS_OF_A_START, {
    prepare: async () => async () => {
      const { code, runId } = await startDetached(world);
      answered = code === 0 ? [runId] : [];
    },
    check: async () => {
      // A run that nobody starts any more is not waited for.
      const isSettled = async () => (await listRuns(world)).every(({ state }) => state !== "starting");
      await eventually("a word on every run", isSettled);
      const running = (await listRuns(world)).filter(({ state }) => state === "running").map(({ run_id }) => run_id);
      expect(running).toEqual(answered);
      await expectWhollyThereOrGone(world);
    },
  });
});

test("kill -9 of the daemon at each step of a stop: the run is stopped, or can be", async () => {
  await using world = await startWorld(COUNTABLE);
  await killAtEach(world, STEPS_OF_A_STOP, {
    prepare: async () => {
      const { runId } = await startDetached(world);
      return async () => void (await world.cli(["stop", runId]));
    },
    check: () => expectWhollyThereOrGone(world),
  });
});

test("kill -9 of the daemon at each step of a run's removal: its caller has its code, and nothing of it is left", async () => {
  await using world = await startWorld(COUNTABLE);
  await killAtEach(world, STEPS_OF_A_REMOVAL, {
    prepare: async () => {
      const waiting = world.startRun(["sh", "-c", "echo up; read -r _; exit 7"]);
      await waiting.line("the run's start", (line) => line === "up");
      return async () => {
        waiting.endInput();
        expect((await waiting.finished).code).toBe(7);
      };
    },
    check: async () => {
      expect(await world.cliJson(["ls"])).toEqual([]);
      await expectWhollyThereOrGone(world);
    },
  });
});
