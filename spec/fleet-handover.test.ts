import { eventually, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { requestUnix, streamUnix } from "../packages/kit/src/index.ts";

const BACK_WITHIN_MS = 30_000;

test("a node whose successor does not come is connected to its server again", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
  await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
  const connections = () => daemon.stderr.split("connected to the server").length - 1;
  await eventually("the connection", () => connections() === 1);

  const socketPath = fleet.path("n1/daemon.sock");
  const { body } = await requestUnix({ socketPath, method: "POST", path: "/v1/handover" });
  const { control } = body as { readonly control: string };
  const stop = new AbortController();
  const follow = streamUnix({ socketPath: control, path: "/follow", signal: stop.signal });
  expect((await follow.next()).done).toBe(false);
  expect(connections()).toBe(1);
  stop.abort();
  await eventually("the connection after it", () => connections() === 2, { timeoutMs: BACK_WITHIN_MS });
  expect(await fleet.operator(["nodes", "show", "n1"])).toMatchObject({ connected: true });
}, 120_000);
