import { rm, writeFile } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { openLogSource, requestUnix, verifyLog } from "@gatehouse/kit";
import { breakCall, breakEach, countRecorded, eventually, type FakeApi, recordCalls } from "@gatehouse/testbed";
import { expect, test } from "vitest";
import { expectNothingLost, Ledger, openService, playGrantAndRun, playScenario, serviceConfig } from "./faults.ts";
import { type HolderState, openHolderState } from "./holder-process.ts";

const SHORT_SAMPLES = 3;
const CALLS = ["fsync", "fdatasync"] as const;
type Call = (typeof CALLS)[number];

/** How often the key-holder makes each call from its start to the end of the scenario. */
async function countCalls(api: FakeApi): Promise<Readonly<Record<Call, number>>> {
  await using state = await openHolderState();
  const path = join(state.directory, "..", "calls");
  const holder = await state.start({ inside: recordCalls(path, CALLS), config: await serviceConfig(state) });
  const ledger = await playScenario(holder, state, api);
  expect([...ledger.doubtful]).toEqual([]);
  expect(ledger.entries).toContain("request.injected run-1");
  await holder[Symbol.asyncDispose]();
  return await countRecorded(path, CALLS);
}

async function playWithFault(state: HolderState, api: FakeApi, inside: readonly string[]): Promise<Ledger> {
  const holder = await state.start({ inside, config: await serviceConfig(state) }).catch(() => undefined);
  // It did not come to its start: nothing was answered.
  if (holder === undefined) return new Ledger();
  const ledger = await playScenario(holder, state, api);
  await holder[Symbol.asyncDispose]();
  return ledger;
}

for (const [name, fault] of [
  ["kill -9", "signal=SIGKILL"],
  ["EIO", "error=EIO"],
] as const) {
  test(`${name} at a sync: what was answered holds after a restart, nothing is half written, and the audit log verifies`, async () => {
    await using api = await openService();
    const counts = await countCalls(api);
    for (const call of CALLS) {
      expect(counts[call]).toBeGreaterThan(SHORT_SAMPLES);
      await breakEach({ name, call, fault, count: counts[call], samples: SHORT_SAMPLES }, async (inside) => {
        await using state = await openHolderState();
        const ledger = await playWithFault(state, api, inside);
        await expectNothingLost(state, ledger);
      });
    }
  }, 3_600_000);
}

test("kill -9 while a grant is taken back costs no run that had it", async () => {
  await using api = await openService();
  await using state = await openHolderState();
  const first = await state.start({ config: await serviceConfig(state) });
  await playGrantAndRun(first, api);
  await first[Symbol.asyncDispose]();
  const folder = state.file("credentials");
  // Its file is gone when the folder is synchronised.
  const inside = breakCall({ call: "fsync", fault: "signal=SIGKILL", when: "1+", path: folder });
  const second = await state.start({ inside, config: await serviceConfig(state) });
  await expect(second.request("DELETE", "/v1/grants/g1")).rejects.toThrow();
  await second[Symbol.asyncDispose]();
  const third = await state.start();
  // The control: the credential is gone, so it was the moment that matters.
  expect((await third.request("GET", "/v1/grants")).body).toEqual([]);
  expect((await third.request("GET", "/v1/runs")).body).toMatchObject([{ run_id: "run-1" }]);
}, 60_000);

test("a full disk: requests are refused, nothing is accepted, health says so; with room again all goes on by itself", async () => {
  await using state = await openHolderState();
  // Its own mounts, so that the small disk is seen by it alone.
  const mounted = `mount -t tmpfs -o size=2m tmpfs "${state.directory}" && exec "$0" "$@"`;
  const holder = await state.start({
    inside: ["unshare", "--mount", "sh", "-c", mounted],
    config: await serviceConfig(state),
  });
  const inside = `/proc/${(await holder.call("status", null)).pid}/root${state.directory}`;
  const ask = (method: string, path: string, body?: unknown) => requestIn(inside, { method, path, body });
  const before = await ask("POST", "/v1/runs", { run_id: "before" });
  expect(before.status).toBe(201);
  const { auth_token: token } = before.body as { readonly auth_token: string };
  const { proxyPort } = await holder.call("status", null);
  expect(await connectStatus(proxyPort, token)).toBe(403);

  await fillDisk(inside);
  await eventually("a refused registration", async () => {
    return (await ask("POST", "/v1/runs", { run_id: `filling-${performance.now()}` })).status === 503;
  });
  await eventually("requests to be refused", async () => (await connectStatus(proxyPort, token)) === 503);
  const failing = await holder.call("status", null);
  expect(failing.audit).toMatchObject({ isTaking: false, reason: "ENOSPC" });
  expect((await ask("GET", "/v1/health")).body).toMatchObject({ audit_failing: "ENOSPC" });
  expect((await ask("POST", "/v1/runs", { run_id: "refused" })).status).toBe(503);

  await makeRoom(inside);
  await eventually("requests to be taken", async () => (await connectStatus(proxyPort, token)) === 403);
  expect((await ask("POST", "/v1/runs", { run_id: "after" })).status).toBe(201);
  const runs = ((await ask("GET", "/v1/runs")).body as { readonly run_id: string }[]).map(({ run_id }) => run_id);
  expect(runs).toContain("before");
  expect(runs).toContain("after");
  expect(runs).not.toContain("refused");
  expect((await ask("POST", "/v1/audit/head")).status).toBe(200);
  const verified = await verifyLog(await openLogSource(join(inside, "audit")));
  expect(verified.unprotected).toBe(0);
}, 60_000);

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

function requestIn(directory: string, { method, path, body }: Asked) {
  return requestUnix({ socketPath: join(directory, "daemon.sock"), method, path, body });
}

/** What the gate answers to a tunnel that no rule allows. */
function connectStatus(port: number, token: string): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    const auth = Buffer.from(`run:${token}`).toString("base64");
    socket.once("data", (data: Buffer) => {
      socket.destroy();
      resolve(Number(data.toString().split(" ")[1]));
    });
    socket.once("error", () => resolve(0));
    socket.write(
      `CONNECT x.example.test:443 HTTP/1.1\r\nHost: x.example.test:443\r\nProxy-Authorization: Basic ${auth}\r\n\r\n`,
    );
  });
}

/** Writes until the disk takes no more, in ever smaller pieces. */
async function fillDisk(directory: string): Promise<void> {
  for (const bytes of [65_536, 4_096]) {
    for (let number = 0; ; number += 1) {
      const isFull = await writeFile(join(directory, `filler-${bytes}-${number}`), Buffer.alloc(bytes)).then(
        () => false,
        () => true,
      );
      if (isFull) break;
    }
  }
}

async function makeRoom(directory: string): Promise<void> {
  for (let number = 0; number < 64; number += 1) await rm(join(directory, `filler-65536-${number}`), { force: true });
}
