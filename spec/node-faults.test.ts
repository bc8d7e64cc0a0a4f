import { breakCall, eventually, productCommand, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("a daemon whose journal the disk refuses says so and ends; started again it connects", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const own = ["node", "run", "--state-dir", fleet.path("n1"), "--json"];
  const path = fleet.path("n1", "journal.db-wal");
  const inside = breakCall({ call: "fsync", fault: "error=EIO", when: "1", path });
  const refused = await fleet.startOther([...inside, ...productCommand(), ...own]).finished;
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("journal.db cannot be opened");
  const daemon = fleet.start(own);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  await eventually("the connection", () => daemon.stderr.includes("connected to the server"), { timeoutMs: 30_000 });
});
