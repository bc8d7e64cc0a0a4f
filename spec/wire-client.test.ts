import { REPOSITORY, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("a client that shares no code with the product enrolls, shakes hands and sends a heartbeat", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--out", code]);
  const client = fleet.startOther([
    "/usr/bin/python3",
    `${REPOSITORY}/spec/wire/wire_client.py`,
    fleet.url,
    code,
    "py",
  ]);
  const said = JSON.parse(await client.line("the fingerprint", (line) => line.includes("fingerprint")));
  await fleet.operator(["nodes", "confirm", "py", "--fingerprint", said.fingerprint]);
  await client.line("the heartbeat's answer", (line) => line.includes('"online"'));
  expect((await client.finished).code).toBe(0);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ name: "py", liveness: "online" }]);
});
