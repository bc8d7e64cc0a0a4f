import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseResourceName, systemClock } from "@gatehouse/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { CredentialStore } from "../../src/credentials/credential-store.ts";
import { openNodeKey } from "../../src/credentials/node-key.ts";

const VALUE = "ghp_planted_0123456789abcdef";
const BINDINGS = [{ hosts: ["api.example.test"], header: "Authorization", format: "Bearer {value}" }];
let directory = "";
let folder = "";

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "gatehouse-store-"));
  folder = join(directory, "credentials");
  await mkdir(folder, { mode: 0o700 });
});
afterEach(() => rm(directory, { recursive: true, force: true }));

async function openStore(): Promise<CredentialStore> {
  return CredentialStore.open(folder, await openNodeKey(directory), systemClock);
}

async function addOne(value = VALUE): Promise<CredentialStore> {
  const store = await openStore();
  await store.add({ name: parseResourceName("one"), service: undefined, bindings: BINDINGS, value });
  return store;
}

async function onlyFile(): Promise<string> {
  const [name = ""] = await readdir(folder);
  return join(folder, name);
}

test("a value is sealed on disk, readable again after a restart, and only by its owner", async () => {
  await addOne(`${VALUE}\n`);
  const path = await onlyFile();
  expect(await readFile(path, "utf8")).not.toContain(VALUE);
  expect((await stat(path)).mode & 0o777).toBe(0o600);
  expect((await stat(join(directory, "encryption.key"))).mode & 0o777).toBe(0o600);
  const again = await openStore();
  expect((await again.reveal("one")).reveal()).toBe(VALUE);
});

test.each([
  ["a host", (text: string) => text.replace("api.example.test", "evil.example.test")],
  ["the header", (text: string) => text.replace('"Authorization"', '"X-Other"')],
  ["the format", (text: string) => text.replace("Bearer {value}", "{value}")],
  ["the name", (text: string) => text.replace('"one"', '"two"')],
  [
    "the ciphertext",
    (text: string) => text.replace(/"ciphertext":"(.)/, (_, c: string) => `"ciphertext":"${c === "A" ? "B" : "A"}`),
  ],
  ["its end", (text: string) => text.slice(0, -10)],
])("a file in which somebody changed %s opens nothing, is named, and is kept", async (_, edit) => {
  await addOne();
  const path = await onlyFile();
  await writeFile(path, edit(await readFile(path, "utf8")), { mode: 0o600 });
  const store = await openStore();
  expect(store.list()).toEqual([]);
  expect(store.unreadable).toHaveLength(1);
  const code = expect.stringMatching(/^(?:credentials\.unreadable|grants\.not_found)$/);
  await expect(store.reveal("one")).rejects.toMatchObject({ code });
  expect(await readdir(folder)).toHaveLength(1);
});

test("a damaged credential keeps its name until it is revoked", async () => {
  await addOne();
  const path = await onlyFile();
  const text = await readFile(path, "utf8");
  await writeFile(path, text.replace("api.example.test", "evil.example.test"), { mode: 0o600 });
  const store = await openStore();
  expect(store.faults).toMatchObject([{ name: "one", reason: expect.stringContaining("cannot be opened") }]);
  expect(() => store.require("one")).toThrowError(expect.objectContaining({ code: "credentials.unreadable" }));
  const again = store.add({ name: parseResourceName("one"), service: undefined, bindings: BINDINGS, value: VALUE });
  await expect(again).rejects.toMatchObject({ code: "grants.exists" });
  await store.remove("one");
  expect(await readdir(folder)).toEqual([]);
  expect(store.faults).toEqual([]);
});

test.each([
  ["that others may read", (path: string) => chmod(path, 0o644), "chmod 600"],
  [
    "that is a link",
    (path: string) => rename(path, `${path}.moved`).then(() => symlink(`${path}.moved`, path)),
    "link",
  ],
])("a credential's file %s is not read, and what is missed says so", async (_, spoil, hint) => {
  await addOne();
  await spoil(await onlyFile());
  const store = await openStore();
  expect(store.list()).toEqual([]);
  expect(() => store.require("one")).toThrowError(
    expect.objectContaining({ code: "grants.not_found", detail: expect.stringContaining(hint) }),
  );
});

test("a credential whose file cannot be deleted serves no more, and can be revoked again", async () => {
  const store = await addOne();
  const path = await onlyFile();
  await rename(path, `${path}.away`);
  await mkdir(path);
  await expect(store.remove("one")).rejects.toMatchObject({ code: "state.write_failed" });
  await expect(store.reveal("one")).rejects.toMatchObject({ code: "credentials.unreadable" });
  await rmdir(path);
  await rename(`${path}.away`, path);
  await store.remove("one");
  expect(await readdir(folder)).toEqual([]);
});

test("of many values given one name at once, one is kept", async () => {
  const store = await openStore();
  const add = (value: string) =>
    store.add({ name: parseResourceName("one"), service: undefined, bindings: BINDINGS, value });
  const results = await Promise.allSettled(["value-a", "value-b", "value-c"].map(add));
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "rejected"]);
  expect(await readdir(folder)).toHaveLength(1);
  expect((await (await openStore()).reveal("one")).reveal()).toBe("value-a");
});

test("a key of another node opens nothing", async () => {
  await addOne();
  await rm(join(directory, "encryption.key"));
  const store = await openStore();
  expect(store.list()).toEqual([]);
  expect(store.unreadable).toHaveLength(1);
});

test.each([
  ["empty", ""],
  ["only a line end", "\n"],
  ["two lines", "a\nb"],
  ["a carriage return", "a\rb"],
  ["a NUL", "a\0b"],
  ["more than ASCII", "pässword"],
  ["too long", "x".repeat(70_000)],
  ["too short to be told from ordinary text", "12345"],
])("a value that is %s is refused and nothing is stored", async (_, value) => {
  await expect(addOne(value)).rejects.toMatchObject({ code: "credentials.invalid_value" });
  expect(await readdir(folder)).toEqual([]);
});

test("a name that is taken is refused, and the first value stays", async () => {
  const store = await addOne();
  const again = store.add({
    name: parseResourceName("one"),
    service: undefined,
    bindings: BINDINGS,
    value: "another-value",
  });
  await expect(again).rejects.toMatchObject({ code: "grants.exists" });
  expect((await store.reveal("one")).reveal()).toBe(VALUE);
});

test("a removed credential is gone from memory and disk", async () => {
  const store = await addOne();
  await store.remove("one");
  expect(await readdir(folder)).toEqual([]);
  await expect(store.reveal("one")).rejects.toMatchObject({ code: "grants.not_found" });
});

test("a key file that is none is a clear problem and is kept", async () => {
  await writeFile(join(directory, "encryption.key"), "{}", { mode: 0o600 });
  await expect(openNodeKey(directory)).rejects.toMatchObject({ code: "state.corrupt" });
  expect(await readFile(join(directory, "encryption.key"), "utf8")).toBe("{}");
});

test("a new value takes the old one's place in one file, and the old one is known for scrubbing after a restart", async () => {
  const store = await addOne();
  const request = { name: parseResourceName("one"), service: undefined, bindings: BINDINGS };
  const before = store.require("one");
  const after = await store.replace({ ...request, value: "second-value" });
  expect(after).toMatchObject({ id: before.id, version: 2 });
  await store.replace({ ...request, value: "third-value" });
  expect(await readdir(folder)).toHaveLength(1);
  for (const one of [store, await openStore()]) {
    expect((await one.reveal("one")).reveal()).toBe("third-value");
    expect((await one.revealReplaced("one")).map((old) => old.reveal())).toEqual(["second-value", VALUE]);
  }
  const text = await readFile(await onlyFile(), "utf8");
  for (const value of [VALUE, "second-value", "third-value"]) expect(text).not.toContain(value);
});

test("replacing what is not there stores it", async () => {
  const store = await openStore();
  await store.replace({ name: parseResourceName("one"), service: undefined, bindings: BINDINGS, value: VALUE });
  expect((await store.reveal("one")).reveal()).toBe(VALUE);
  expect(await store.revealReplaced("one")).toEqual([]);
});

test.each([
  ["other hosts", { bindings: [{ ...BINDINGS[0], hosts: ["evil.example.test"] }] }, "grants.exists"],
  ["another header", { bindings: [{ ...BINDINGS[0], header: "X-Other" }] }, "grants.exists"],
  ["a service", { service: "github" }, "grants.exists"],
  ["an empty value", { value: "" }, "credentials.invalid_value"],
])("a replacement with %s is refused, and the old value stands", async (_, change, code) => {
  const store = await addOne();
  const request = { name: parseResourceName("one"), service: undefined, bindings: BINDINGS, value: "second-value" };
  await expect(store.replace({ ...request, ...change } as typeof request)).rejects.toMatchObject({ code });
  expect((await store.reveal("one")).reveal()).toBe(VALUE);
  expect((await (await openStore()).reveal("one")).reveal()).toBe(VALUE);
});

test("at most eight replaced values are kept", async () => {
  const store = await addOne();
  const request = { name: parseResourceName("one"), service: undefined, bindings: BINDINGS };
  for (let count = 0; count < 10; count += 1) await store.replace({ ...request, value: `value-${count}` });
  const old = (await store.revealReplaced("one")).map((value) => value.reveal());
  expect(old).toEqual([8, 7, 6, 5, 4, 3, 2, 1].map((count) => `value-${count}`));
});
