import { eventually, openFakeApi, plantValue, sendJson, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";

let world: World;

beforeAll(async () => {
  world = await startWorld();
});
afterAll(() => world[Symbol.asyncDispose]());

/** Asks again and again over one connection, a line for each answer, until it is told to stop. */
const LOOP = `
import { setTimeout } from "node:timers/promises";
for (;;) {
  const answer = await fetch(process.argv[1]);
  console.log(JSON.stringify(await answer.json()));
  await setTimeout(50);
}`;

test("a replaced value serves a live run from its next request on, and what it replaced is still scrubbed", async () => {
  const first = plantValue();
  const second = plantValue();
  await using api = await openFakeApi({
    authority: world.authority,
    respond: ({ headers }, response) => {
      // A service that says back what it was sent, and what it was sent before.
      sendJson(response, 200, { is: headers.authorization === `Bearer ${second}` ? "second" : "first", echo: first });
      return true;
    },
  });
  const host = `api.example.test:${api.port}`;
  await world.addCredential("turned", { host, value: first });
  const policy = await world.allowServices(host);
  const script = ["/.gatehouse/node", "--input-type=module", "-e", LOOP, "--", `https://${host}/`];
  const running = world.startRun(script, { grants: ["turned"], policy });
  await running.line("an answer to the first value", (line) => line.includes('"first"'));

  const places = ["--host", host, "--format", "Bearer {value}"];
  const exists = await world.cli(["credentials", "add", "turned", ...places], { stdin: second });
  expect(exists).toMatchObject({ code: 1, stderr: expect.stringContaining("--replace") });
  const replaced = await world.cliJson(["credentials", "add", "turned", ...places, "--replace"], { stdin: second });
  expect(replaced).toMatchObject({ name: "turned" });
  const asked = api.requests.length;
  await running.line("an answer to the second value", (line) => line.includes('"second"'));
  await eventually("a request after that", () => api.requests.length > asked);
  const later = api.requests.slice(asked).map(({ headers }) => headers.authorization);
  expect(new Set(later)).toEqual(new Set([`Bearer ${second}`]));
  expect(running.stdout).not.toContain(first);
  expect(running.stdout).not.toContain(second);

  await world.daemon.stop();
  await world.daemon.start();
  const before = api.requests.length;
  await running.line("an answer after a restart", () => api.requests.length > before + 1);
  expect(running.stdout).not.toContain(first);
  expect(api.requests.at(-1)?.headers.authorization).toBe(`Bearer ${second}`);
  running.kill("SIGTERM");
  await running.finished;
});

test("a replacement for other hosts is refused, and changes nothing", async () => {
  const value = plantValue();
  await world.addCredential("bound", { host: "api.example.test", value });
  const other = ["credentials", "add", "bound", "--host", "other.example.test", "--replace"];
  expect(await world.cli(other, { stdin: plantValue() })).toMatchObject({
    code: 1,
    stderr: expect.stringContaining("other hosts or headers"),
  });
  const listed = await world.cliJson(["credentials", "ls"]);
  expect(listed).toContainEqual(expect.objectContaining({ name: "bound", hosts: ["api.example.test"] }));
});

test("what was revoked is named in JSON, before a failure too", async () => {
  await world.addCredential("gone", { host: "api.example.test", value: plantValue() });
  const { code, stdout, stderr } = await world.cli(["revoke", "gone", "never-was", "--json"]);
  expect(code).toBe(5);
  expect(JSON.parse(stdout)).toEqual({ revoked: ["gone"] });
  expect(stderr).toContain("gatehouse credentials ls");
});
