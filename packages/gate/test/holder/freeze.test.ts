import { expect, test } from "vitest";
import { Changes } from "../../src/holder/changes.ts";
import { freeze } from "../../src/holder/freeze.ts";
import { Turns } from "../../src/registry/turns.ts";

function open() {
  const changes = new Changes();
  const turns = new Turns();
  return {
    changes,
    turns,
    freezing: (withinMs: number) => freeze({ changes, registry: { freeze: () => turns.close() } }, withinMs),
  };
}

test("a change that never ends does not hold up who waits for quiet, and nothing is begun after it", async () => {
  const REFUSED = { code: "daemon.handing_over" };
  const never = () => new Promise<never>(() => undefined);
  const { changes, freezing } = open();
  void changes.make(never);
  await expect(freezing(10)).rejects.toMatchObject({ code: "process.timeout" });
  await expect(changes.make(async () => "later")).rejects.toMatchObject(REFUSED);
  const other = open();
  void other.turns.take("run-1", never);
  await expect(other.freezing(10)).rejects.toMatchObject({ code: "process.timeout" });
  await expect(other.turns.take("run-2", async () => "later")).rejects.toMatchObject(REFUSED);
});

test("a change that is under way tells the runs to the end first", async () => {
  const { changes, turns, freezing } = open();
  const written = Promise.withResolvers<void>();
  const told: string[] = [];
  const made = changes.make(async () => {
    await written.promise;
    await turns.take("run-1", async () => void told.push("run-1"));
  });
  const frozen = freezing(20_000).then(() => told.push("frozen"));
  written.resolve();
  await Promise.all([made, frozen]);
  expect(told).toEqual(["run-1", "frozen"]);
});
