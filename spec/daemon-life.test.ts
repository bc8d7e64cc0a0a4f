import { eventually, startWorld } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("a run starts the daemon when there is none, and the next run finds it", async () => {
  await using world = await startWorld({ isStarted: false });
  for (const word of ["first", "second"]) {
    expect(await world.run(["/bin/echo", word])).toMatchObject({ code: 0, stdout: `${word}\n` });
  }
  const [pid, ...others] = await world.pids("daemon");
  expect(others).toEqual([]);
  const { body } = await world.request("GET", "/v1/health");
  expect(body).toMatchObject({ pid, ends_when_empty: true });
  await world.request("POST", "/v1/shutdown");
  await eventually("its end", async () => (await world.pids("daemon")).length === 0);
});
