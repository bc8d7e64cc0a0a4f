import { chmod, mkdir, mkdtemp, readdir, readFile, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "@gatehouse/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { addGrant, openRegistry, registration } from "./registry-under-test.ts";

let directory = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-durability-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const inState = (name: string) => join(directory, name);
const readState = async (name: string) => JSON.parse(await readFile(inState(name), "utf8"));

/** Makes every write of a file fail, as a full disk does; the returned call gives the disk its room back. */
async function blockFile(name: string): Promise<() => Promise<void>> {
  const before = await readFile(inState(name)).catch(() => undefined);
  await rm(inState(name), { force: true });
  await mkdir(inState(name));
  return async () => {
    await rmdir(inState(name));
    if (before !== undefined) await writeFile(inState(name), before, { mode: 0o600 });
  };
}

test("an id that was deleted and registered anew is still there after a restart", async () => {
  const { registry } = await openRegistry(directory);
  await registry.register(registration());
  await registry.end("r1");
  const token = await registry.register(registration());
  const after = await openRegistry(directory);
  expect(after.registry.size).toBe(1);
  expect(await after.registry.register(registration({ auth_token: token }))).toBe(token);
});

test("many ends at once are each durable, and so are their tombstones", async () => {
  const { registry } = await openRegistry(directory);
  const ids = Array.from({ length: 60 }, (_, index) => `r${index}`);
  await Promise.all(ids.map((run_id) => registry.register(registration({ run_id }))));
  await Promise.all(ids.map((id) => registry.end(id)));
  expect((await readState("revoked-runs.json")).revoked).toHaveLength(ids.length);
  expect((await readState("runs.json")).runs).toEqual([]);
});

test("of two registrations of one id at once, one is taken and the other refused", async () => {
  const { registry, served } = await openRegistry(directory);
  const results = await Promise.allSettled([1, 2, 3].map(() => registry.register(registration())));
  expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  expect(results.filter(({ status }) => status === "rejected")).toMatchObject([
    { reason: { code: "runs.id_taken" } },
    { reason: { code: "runs.id_taken" } },
  ]);
  expect(served.runs.size).toBe(1);
});

describe("a registration that fails half-way", () => {
  test("in the workers leaves nothing behind, on disk neither", async () => {
    const { registry, served } = await openRegistry(directory);
    served.refuses = true;
    await expect(registry.register(registration())).rejects.toThrow("did not follow");
    expect(registry.size).toBe(0);
    expect((await readState("runs.json")).runs).toEqual([]);
  });

  test("leaves the run that it was to replace as it was", async () => {
    const { registry, served } = await openRegistry(directory);
    const token = await registry.register(registration());
    const before = served.runs.get("r1");
    const unblock = await blockFile("runs.json");
    const again = registry.register(registration({ auth_token: token, network_allow: ["b.test"] }));
    await expect(again).rejects.toMatchObject({ code: "state.write_failed" });
    expect(served.runs.get("r1")).toEqual(before);
    expect(registry.get("r1")?.policy.allow).toEqual(["api.example.test"]);
    await unblock();
    expect((await openRegistry(directory)).registry.get("r1")?.policy.allow).toEqual(["api.example.test"]);
  });
});

describe("an end that cannot be written", () => {
  test("is served no more at once, and can be asked for again until it is durable", async () => {
    const { registry, served } = await openRegistry(directory);
    const token = await registry.register(registration());
    const unblock = await blockFile("revoked-runs.json");
    await expect(registry.endByToken(token)).rejects.toMatchObject({ code: "state.write_failed" });
    expect(served.runs.size).toBe(0);
    expect(registry.size).toBe(0);
    await expect(registry.setContainer(token, "c1")).rejects.toMatchObject({ code: "runs.not_found" });
    await unblock();
    await registry.endByToken(token);
    await expect(registry.endByToken(token)).rejects.toMatchObject({ code: "runs.not_found" });
    expect((await openRegistry(directory)).registry.size).toBe(0);
  });

  test("does not reach a run that took the id meanwhile", async () => {
    const { registry, served } = await openRegistry(directory);
    const token = await registry.register(registration());
    const unblock = await blockFile("revoked-runs.json");
    await expect(registry.endByToken(token)).rejects.toMatchObject({ code: "state.write_failed" });
    const next = await registry.register(registration());
    await unblock();
    await registry.endByToken(token);
    expect(served.runs.has("r1")).toBe(true);
    expect(await registry.register(registration({ auth_token: next }))).toBe(next);
  });
});

describe("a grant that is withdrawn", () => {
  test("leaves every run even when one of them cannot be served without it and cannot be written", async () => {
    const { registry, credentials, served } = await openRegistry(directory);
    await addGrant(credentials, "g");
    for (const run_id of ["r1", "r2", "r3"])
      await registry.register(registration({ run_id, credentials: [], grants: ["g"] }));
    served.refuses = true;
    const unblock = await blockFile("revoked-runs.json");
    await credentials.remove("g");
    await expect(registry.withdrawGrant("g")).rejects.toMatchObject({ code: "state.write_failed" });
    expect(served.runs.size).toBe(0);
    await unblock();
  });
});

describe("a run that a restart refuses", () => {
  /** A run whose grant's file others may read: nothing is wrong with the run itself. */
  async function refuseRun(): Promise<{ readonly token: string; readonly file: string }> {
    const { registry, credentials } = await openRegistry(directory);
    await addGrant(credentials, "g");
    const token = await registry.register(registration({ credentials: [], grants: ["g"] }));
    const [name = ""] = await readdir(inState("credentials"));
    const file = join(inState("credentials"), name);
    await chmod(file, 0o644);
    return { token, file };
  }

  test("says why, stays in the file whatever else is registered, and comes back when it is put right", async () => {
    const { file } = await refuseRun();
    const { registry, served } = await openRegistry(directory);
    expect(registry.refused).toEqual([{ runId: "r1", reason: expect.stringContaining("chmod 600") }]);
    expect(served.runs.size).toBe(0);
    await registry.register(registration({ run_id: "other" }));
    await chmod(file, 0o600);
    const after = await openRegistry(directory);
    expect(after.registry.refused).toEqual([]);
    expect(after.registry.list().map(({ runId }) => runId)).toEqual(["other", "r1"]);
  });

  test("can be deleted by its token, which then does not come back", async () => {
    const { token, file } = await refuseRun();
    const { registry } = await openRegistry(directory);
    await registry.endByToken(token);
    expect(registry.refused).toEqual([]);
    await chmod(file, 0o600);
    const after = await openRegistry(directory);
    expect(after.registry.size).toBe(0);
    const again = after.registry.register(registration({ auth_token: token }));
    await expect(again).rejects.toMatchObject({ code: "runs.token_revoked" });
  });

  test("can be registered anew, and then stands in the file once", async () => {
    await refuseRun();
    const { registry } = await openRegistry(directory);
    await registry.register(registration());
    expect(registry.refused).toEqual([]);
    expect((await readState("runs.json")).runs).toMatchObject([{ run_id: "r1", grants: [] }]);
  });
});

test("entries with an id or a token that stands twice are refused, the first is served", async () => {
  const { registry } = await openRegistry(directory);
  await registry.register(registration());
  const stored = await readState("runs.json");
  const [entry] = stored.runs;
  stored.runs.push({ ...entry, token_hash: "0".repeat(64) }, { ...entry, run_id: "r2" });
  await writeFile(inState("runs.json"), JSON.stringify(stored), { mode: 0o600 });
  const after = await openRegistry(directory);
  expect(after.registry.list().map(({ runId }) => runId)).toEqual(["r1"]);
  expect(after.registry.refused.map(({ runId }) => runId)).toEqual(["r1", "r2"]);
});

const DAMAGED_TOMBSTONES = [
  ["no JSON", (text: string) => text.slice(0, -20)],
  ["empty", () => ""],
  ["of another form", (text: string) => text.replace("revoked", "revoke")],
  ["with one entry that is none", (text: string) => text.replace('"at":', '"when":')],
] as const;

for (const [what, damage] of DAMAGED_TOMBSTONES) {
  test(`a revoked-runs.json that is ${what} is kept whole and said, and lets no deleted run's token in`, async () => {
    const before = await openRegistry(directory);
    const deleted = await before.registry.register(registration());
    const kept = await before.registry.register(registration({ run_id: "r2" }));
    await before.registry.end("r1");
    const damaged = damage(await readFile(inState("revoked-runs.json"), "utf8"));
    await writeFile(inState("revoked-runs.json"), damaged, { mode: 0o600 });

    const { registry } = await openRegistry(directory);
    expect(registry.refused).toMatchObject([{ runId: "*", reason: expect.stringContaining("revoked-runs.json") }]);
    const aside = (await readdir(directory)).find((name) => name.startsWith("revoked-runs.json.corrupt-")) ?? "";
    expect(await readFile(inState(aside), "utf8")).toBe(damaged);
    // The next start does not find the damaged file any more; nor does it forget.
    for (const { registry: restarted, served } of [await openRegistry(directory), await openRegistry(directory)]) {
      await expect(restarted.register(registration({ auth_token: deleted }))).rejects.toMatchObject({
        code: "runs.token_revoked",
      });
      await expect(restarted.register(registration({ run_id: "r3", auth_token: deleted }))).rejects.toMatchObject({
        code: "runs.token_revoked",
      });
      expect(served.runs.size).toBe(0);
      expect(restarted.list().map(({ runId }) => runId)).toEqual(["r2"]);
      expect(await restarted.register(registration({ run_id: "r2", auth_token: kept }))).toBe(kept);
    }
    const tomorrow = { ...systemClock, now: () => Date.now() + 25 * 3_600_000 };
    const later = await openRegistry(directory, tomorrow);
    expect(await later.registry.register(registration({ run_id: "r3", auth_token: deleted }))).toBe(deleted);
  });
}

test("tombstones older than a day are forgotten in the file too", async () => {
  const { registry } = await openRegistry(directory);
  await registry.register(registration());
  await registry.end("r1");
  const tomorrow = { ...systemClock, now: () => Date.now() + 25 * 3_600_000 };
  const later = await openRegistry(directory, tomorrow);
  await later.registry.register(registration({ run_id: "r2" }));
  await later.registry.end("r2");
  expect((await readState("revoked-runs.json")).revoked).toMatchObject([{ run_id: "r2" }]);
});
