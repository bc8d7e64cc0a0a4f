import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { eventually } from "@gatehouse/testbed";
import { afterEach, beforeEach, expect, test } from "vitest";
import { RecordStore } from "../../src/records/record-store.ts";

let directory = "";
const folder = () => join(directory, "records");
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-records-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const lineOf = (run: string) => Buffer.from(`${JSON.stringify({ run })}\n`);

async function openStore() {
  const said: boolean[] = [];
  const onFailing = (isFailing: boolean) => void said.push(isFailing);
  return { said, store: await RecordStore.open({ folder: folder(), maxBytes: 60, maxFiles: 3, onFailing }) };
}

async function storedRuns(): Promise<readonly unknown[]> {
  const names = (await readdir(folder())).sort((a, b) => a.localeCompare(b));
  const texts = await Promise.all(names.map((name) => readFile(join(folder(), name), "utf8")));
  return texts.flatMap((text) => text.split("\n").slice(0, -1)).map((line) => JSON.parse(line).run);
}

test("records are kept in files of a bounded number and size, and a store that was told nothing leaves none", async () => {
  await (await openStore()).store[Symbol.asyncDispose]();
  expect(await readdir(folder())).toEqual([]);
  const { store, said } = await openStore();
  for (let round = 0; round < 20; round += 1) store.add(lineOf(`r${round}`));
  const query = { run: undefined, limit: 1, follows: false, signal: new AbortController().signal };
  expect(await Array.fromAsync(store.read(query))).toEqual([{ run: "r19" }]);
  await store[Symbol.asyncDispose]();
  await eventually("the removal of the oldest", async () => (await readdir(folder())).length <= 3);
  expect((await storedRuns()).at(-1)).toBe("r19");
  expect(said).toEqual([]);
});

test("where no file can be made the next record tries again, and until then nothing does", async () => {
  const { store, said } = await openStore();
  await rm(folder(), { recursive: true });
  store.add(lineOf("lost"));
  await eventually("that it is said", () => said.includes(true));
  expect(store.isFailing).toBe(true);
  await mkdir(folder());
  // One that tried by itself would be there by the first of these looks.
  for (let look = 0; look < 50; look += 1) expect(await readdir(folder())).toEqual([]);
  store.add(lineOf("kept"));
  await eventually("that it is said", () => !store.isFailing);
  await store[Symbol.asyncDispose]();
  expect(await storedRuns()).toEqual(["kept"]);
  expect(said).toEqual([true, false]);
});
