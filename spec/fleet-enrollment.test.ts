import { readFile, stat } from "node:fs/promises";
import { eventually, findInFiles, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

test("a host becomes a node by a code and a fingerprint that a person compared, opens sessions, and is revoked", async () => {
  await using fleet = await startFleet();
  expect(await fleet.initOrg()).toMatchObject({
    org_id: expect.any(String),
    owner: "ada",
    org_key: expect.any(String),
  });
  const { nodeId, fingerprint } = await fleet.enrollHost("n1");
  expect(fingerprint).toMatch(/^([0-9A-HJKMNP-TV-Z]{5}-){3}[0-9A-HJKMNP-TV-Z]{5}$/);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ id: nodeId, name: "n1", state: "confirmed" }]);
  const host = ["--state-dir", fleet.path("n1")];
  expect(await fleet.json(["node", "status", ...host])).toMatchObject({
    state: "enrolled",
    node_id: nodeId,
    fingerprint,
  });
  await fleet.json(["node", "refresh", ...host]);
  await fleet.json(["node", "rotate", ...host]);
  await fleet.json(["node", "refresh", ...host]);
  await fleet.operator(["nodes", "revoke", "n1"]);
  const refused = await fleet.run(["node", "refresh", ...host]);
  expect(refused.code).toBe(4);
  expect(await fleet.operator(["nodes", "ls"])).toEqual([]);
});

test("a host whose node was revoked is told so, forgets it, and enrolls again with the same name and keys", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const host = ["--state-dir", fleet.path("n1")];
  const enrollAgain = () =>
    fleet.run(["node", "enroll", "--server", fleet.url, "--name", "n1", "--code-file", fleet.path("n1.code"), ...host]);
  expect(await enrollAgain()).toMatchObject({ code: 0, stdout: "Confirmed. Next: gatehouse node run\n" });
  await fleet.operator(["nodes", "revoke", "n1"]);
  const refused = await enrollAgain();
  expect(refused).toMatchObject({ code: 4, stdout: "" });
  expect(refused.stderr).toContain("gatehouse node leave");
  const { state, refused_since: since } = await fleet.json(["node", "status", ...host]);
  expect([state, Date.parse(since)]).toEqual(["refused", expect.any(Number)]);
  const left = await fleet.run(["node", "leave", ...host]);
  expect(left).toMatchObject({ code: 0, stdout: expect.stringContaining("no longer knows this node") });
  expect(await fleet.json(["node", "status", ...host])).toMatchObject({ state: "alone" });
  const { nodeId } = await fleet.enrollHost("n1");
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ id: nodeId, name: "n1", state: "confirmed" }]);
  expect(await fleet.json(["node", "leave", ...host])).toEqual({ state: "alone", was_known: true });
});

test("the daemon of a node that was revoked asks once more, leaves the server alone, and goes on when its host is a node again", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const host = ["--state-dir", fleet.path("n1")];
  const daemon = fleet.start(["node", "run", ...host, "--json"]);
  const said = (text: string) => `${daemon.stdout}${daemon.stderr}`.split(text).length - 1;
  await eventually("the node is connected", async () => said("connected to the server") === 1);
  await fleet.operator(["nodes", "revoke", "n1"]);
  await eventually("the daemon knows", async () => said("this host is not a node any more") === 1);
  expect(await fleet.json(["node", "status", ...host])).toMatchObject({ state: "refused" });
  const begun = () => fleet.serverLog.split("BeginAuthHandshake").length - 1;
  const asked = begun();
  expect(asked).toBe(1);
  await fleet.json(["node", "leave", ...host]);
  expect(await fleet.json(["node", "status", ...host])).toMatchObject({ state: "alone", refused_since: null });
  // Leaving asked once, the daemon not at all.
  expect(begun()).toBe(asked + 1);
  await fleet.enrollHost("n1");
  await eventually("the node is connected again", async () => said("connected to the server") === 2);
  expect(await fleet.json(["node", "status", ...host])).toMatchObject({ state: "enrolled" });
});

test("a host neither leaves nor says that it is a node while its server cannot be asked", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  await fleet.stopServer();
  const host = ["--state-dir", fleet.path("n1")];
  const own = ["--server", fleet.url, "--name", "n1", "--code-file", fleet.path("n1.code"), ...host];
  expect(await fleet.run(["node", "enroll", ...own])).toMatchObject({ code: 6, stdout: "" });
  expect(await fleet.run(["node", "leave", ...host])).toMatchObject({ code: 6, stdout: "" });
  expect(await fleet.json(["node", "status", ...host])).toMatchObject({ state: "enrolled" });
});

test("every step may be killed and called again: server and host go on where they were", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.initOrg();
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--name", "n1", "--out", code]);
  const first = fleet.claim("n1", code);
  const said = JSON.parse(await first.line("the fingerprint", (line) => line.includes("fingerprint")));
  first.kill("SIGKILL");
  const interrupted = fleet.claim("n1", code);
  await interrupted.line("the fingerprint", (line) => line.includes("fingerprint"));
  interrupted.kill("SIGINT");
  expect(await interrupted.finished).toMatchObject({
    code: 130,
    stderr: expect.stringContaining("The same command goes on from here."),
  });
  await fleet.stopServer("SIGKILL");
  await fleet.startServer();
  const second = fleet.claim("n1", code);
  const again = JSON.parse(await second.line("the fingerprint", (line) => line.includes("fingerprint")));
  expect(again).toEqual(said);
  await fleet.stopServer("SIGKILL");
  await fleet.startServer();
  await fleet.operator(["nodes", "confirm", "n1", "--fingerprint", said.fingerprint.toLowerCase().replaceAll("-", "")]);
  await second.line("the confirmation", (line) => line.includes('"confirmed"'));
  const once = ["--fingerprint", said.fingerprint, "--state-dir", fleet.path("o")];
  const twice = await fleet.run(["nodes", "confirm", "n1", ...once]);
  expect(twice).toMatchObject({ code: 0, stdout: expect.stringContaining("n1 is confirmed already.") });
  const another = ["--fingerprint", "00000-00000-00000-00000", "--state-dir", fleet.path("o")];
  const refused = await fleet.run(["nodes", "confirm", "n1", ...another]);
  expect(refused).toMatchObject({ stdout: "", stderr: expect.stringContaining("this is not its fingerprint") });
  expect(refused.code).toBe(4);
  await fleet.json(["node", "refresh", "--state-dir", fleet.path("n1")]);
});

test("a wrong fingerprint confirms nothing, and says so by its exit code", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--out", code]);
  const claim = fleet.claim("n1", code);
  await claim.line("the fingerprint", (line) => line.includes("fingerprint"));
  const own = ["--fingerprint", "00000-00000-00000-00000", "--state-dir", fleet.path("o")];
  expect((await fleet.run(["nodes", "confirm", "n1", ...own])).code).toBe(4);
  expect(await fleet.operator(["nodes", "ls"])).toMatchObject([{ state: "pending" }]);
});

test("a code is not sent to a server that is not the one of its pin", async () => {
  await using fleet = await startFleet();
  await using other = await startFleet();
  await fleet.initOrg();
  const code = fleet.path("code");
  await fleet.operator(["nodes", "enroll-code", "--out", code]);
  const own = ["--code-file", code, "--name", "n1", "--state-dir", fleet.path("n1")];
  const refused = await fleet.run(["node", "enroll", "--server", other.url, ...own]);
  expect(refused.code).toBe(5);
  expect(refused.stderr).toContain("pin");
  expect(other.serverLog).not.toContain("Register");
});

test("no code, key or token stands where others could read it", async () => {
  await using fleet = await startFleet();
  await fleet.initOrg();
  await fleet.enrollHost("n1");
  const secrets = await Promise.all(
    [["n1", "api.key"], ["o", "operator", "api.key"], ["n1.code"], ["s", "setup-code"]].map((names) =>
      readFile(fleet.path(...names), "utf8"),
    ),
  );
  for (const names of [
    ["n1", "api.key"],
    ["n1", "identity.key"],
    ["o", "operator", "org.key"],
    ["s", "server", "identity.key"],
  ]) {
    expect((await stat(fleet.path(...names))).mode & 0o777).toBe(0o600);
  }
  for (const secret of secrets.map((text) => text.trim())) {
    expect(fleet.serverLog).not.toContain(secret);
    expect(await findInFiles(fleet.path("s", "server"), secret)).toEqual([]);
  }
});
