import { chmod, mkdir, readdir, readFile, rename, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { native, socketDescriptor } from "@gatehouse/kit";
import { eventually, findInFiles, isAlive } from "@gatehouse/testbed";
import { describe, expect, test } from "vitest";
import { openHolderState, sandboxRun } from "./holder-process.ts";

const VALUE = "ghp_planted0123456789abcdefghijklmnop";
const KEEPER = "0011223344556677";

test("runs and grants come back after kill -9, the value on disk and in the log in no form", async () => {
  await using state = await openHolderState();
  const first = await state.start();
  const granted = await first.request("POST", "/v1/grants", { service: "github", value: VALUE });
  expect(granted.status).toBe(201);
  const { token, env } = await first.call("startRun", sandboxRun({ grants: ["github"] }));
  const registered = await first.request("POST", "/v1/runs", { run_id: "outside", network_allow: ["a.example.test"] });
  const { auth_token } = registered.body as { readonly auth_token: string };
  await first.kill();

  const second = await state.start();
  expect(await second.call("listRuns", null)).toMatchObject([{ runId: "run-1", keeper: KEEPER }, { runId: "outside" }]);
  expect(await second.call("status", null)).toMatchObject({ restored: 2, refused: [], runCount: 2 });
  expect((await second.request("GET", "/v1/grants")).body).toMatchObject([{ name: "github" }]);
  expect((await second.request("DELETE", `/v1/runs/${auth_token}`)).status).toBe(204);
  for (const secret of [VALUE, token, auth_token, Buffer.from(VALUE).toString("base64").slice(0, 40)]) {
    expect(await findInFiles(state.directory, secret)).toEqual([]);
    expect(first.output.text + second.output.text).not.toContain(secret);
  }
  expect(env.GITHUB_TOKEN).not.toBe(VALUE);
});

test("a key-holder that loses its parent is gone within a second, and its workers with it", async () => {
  await using state = await openHolderState();
  const holder = await state.start();
  await eventually("both workers", async () => (await holder.workerPids()).length === 2);
  const pids = [holder.child.pid ?? 0, ...(await holder.workerPids())];
  holder.child.disconnect();
  const everyEnd = async () => (await Promise.all(pids.map((pid) => isAlive(pid)))).every((lives) => !lives);
  await eventually("the end of all", everyEnd, { timeoutMs: 2_000 });
});

test("a revocation is answered although a worker hangs, and that worker does not go on with the grant", async () => {
  await using state = await openHolderState();
  const holder = await state.start();
  await holder.request("POST", "/v1/grants", { service: "github", value: VALUE });
  await holder.call("startRun", sandboxRun({ grants: ["github"] }));
  const [stuck = 0] = await holder.workerPids();
  process.kill(stuck, "SIGSTOP");
  expect((await holder.request("DELETE", "/v1/grants/github")).status).toBe(204);
  expect(await isAlive(stuck)).toBe(false);
  await eventually("its successor", async () => {
    const { workers } = await holder.call("status", null);
    return workers.every(({ pid, isReady }) => isReady && pid !== stuck);
  });
  expect(await readdir(state.file("credentials"))).toEqual([]);
  expect((await holder.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "run-1" }]);
});

test("a keeper that is not there is an error, never taken for a served listener", async () => {
  await using state = await openHolderState();
  const holder = await state.start();
  await holder.call("startRun", sandboxRun());
  await expect(holder.call("serveListener", { runId: "run-1" })).rejects.toMatchObject({ code: "process.gone" });
});

test.runIf(native.available)(
  "a keeper that cannot give its listener yet is asked again by a worker that restarts",
  async () => {
    await using state = await openHolderState();
    const before = await state.start();
    await before.call("startRun", sandboxRun());
    await before.kill();
    const sandbox = createServer();
    await new Promise<void>((resolve) => sandbox.listen(0, "127.0.0.1", resolve));
    let asked = 0;
    let given = 0;
    const keeper = createServer((asker) => {
      asker.on("error", () => undefined);
      asker.once("data", () => {
        asked += 1;
        // The first two askers, one for each worker at least, are turned away.
        if (asked > 2) {
          native.sendDescriptor(socketDescriptor(asker) ?? -1, socketDescriptor(sandbox) ?? -1);
          given += 1;
        }
        asker.end();
      });
    });
    await new Promise<void>((resolve) => keeper.listen(state.file(`keepers/${KEEPER}.sock`), resolve));
    const after = await state.start();
    await eventually("the listener in every worker", () => given === 2);
    expect((await after.call("status", null)).restored).toBe(1);
    await new Promise((resolve) => keeper.close(resolve));
    await new Promise((resolve) => sandbox.close(resolve));
  },
);

describe("a start on unsafe or damaged state fails clearly and changes nothing", () => {
  test.each([
    [
      "runs.json that others may read",
      "state.unsafe_file",
      async (file: (name: string) => string) => chmod(file("runs.json"), 0o644),
    ],
    [
      "runs.json that is a link",
      "state.unsafe_file",
      async (file: (name: string) => string) => {
        await rename(file("runs.json"), file("elsewhere"));
        await symlink(file("elsewhere"), file("runs.json"));
      },
    ],
    [
      "encryption.key that is none",
      "state.corrupt",
      async (file: (name: string) => string) => writeFile(file("encryption.key"), "{}"),
    ],
    [
      "encryption.key that others may read",
      "state.unsafe_file",
      async (file: (name: string) => string) => chmod(file("encryption.key"), 0o640),
    ],
    [
      "a CA that is none",
      "state.corrupt",
      async (file: (name: string) => string) => writeFile(file("ca/interception.crt"), "no certificate"),
    ],
    [
      "a CA key that is of another",
      "state.corrupt",
      async (file: (name: string) => string) => writeFile(file("ca/interception.key"), "no key"),
    ],
  ])("%s", async (_, code, spoil) => {
    await using state = await openHolderState();
    const holder = await state.start();
    await holder.request("POST", "/v1/runs", { run_id: "kept" });
    await holder[Symbol.asyncDispose]();
    await spoil((name) => state.file(name));
    const before = await readFile(state.file("runs.json"));
    await expect(state.start()).rejects.toMatchObject({ code });
    expect(await readFile(state.file("runs.json"))).toEqual(before);
  });
});

test("a truncated runs.json is kept under another name, said in health and log, and opens nothing", async () => {
  await using state = await openHolderState();
  await mkdir(state.directory, { recursive: true });
  await writeFile(state.file("runs.json"), '{"version":1,"runs":[{"run_', { mode: 0o600 });
  const holder = await state.start();
  const health = (await holder.request("GET", "/v1/health")).body;
  expect(health).toMatchObject({ run_count: 0, runs_refused: [{ run_id: "*" }] });
  expect((await readdir(state.directory)).some((name) => name.startsWith("runs.json.corrupt-"))).toBe(true);
  await eventually("the log", () => holder.output.text.includes("runs.json is damaged"));
});
