import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { Problem } from "@gatehouse/core";
import { expect, test } from "vitest";
import { type IpcPeerOptions, openIpcPeer } from "../../src/index.ts";
import { eventually } from "../temporary-directory.ts";
import type { ChildCalls, ChildNotes, ParentCalls, ParentNotes } from "./calls.ts";

function openPair(options: IpcPeerOptions = {}) {
  const heard: string[] = [];
  const child = fork(fileURLToPath(new URL("echo-child.ts", import.meta.url)), { serialization: "advanced" });
  const peer = openIpcPeer<ParentCalls, ChildCalls, ParentNotes, ChildNotes>(
    child,
    { shout: (text) => text.toUpperCase(), heard: (text) => void heard.push(text) },
    options,
  );
  const exited = once(child, "exit");
  const close = async () => {
    peer[Symbol.dispose]();
    child.kill("SIGKILL");
    await exited;
  };
  return { child, peer, heard, exited, [Symbol.asyncDispose]: close };
}

test("values cross with their types, in both directions, and calls may nest", async () => {
  await using pair = openPair();
  const value = { bytes: new Uint8Array([1, 2]), map: new Map([["a", 1n]]), nothing: undefined, none: null };
  expect(await pair.peer.call("echo", value)).toEqual(value);
  expect(await pair.peer.call("echo", undefined)).toBeUndefined();
  expect(await pair.peer.call("askBack", "hello")).toBe("child got HELLO");
  pair.peer.notify("noted", "x");
  await eventually(() => pair.heard.includes("noted x"));
});

test("many calls at once are answered each with its own answer", async () => {
  await using pair = openPair();
  const sent = Array.from({ length: 500 }, (_, index) => index);
  expect(await Promise.all(sent.map((value) => pair.peer.call("echo", value)))).toEqual(sent);
});

test("a problem keeps code and detail, its cause and other failures stay on their side", async () => {
  await using pair = openPair();
  const refused: unknown = await pair.peer.call("refuse", null).catch((failure: unknown) => failure);
  expect(refused).toBeInstanceOf(Problem);
  expect(refused).toMatchObject({ code: "grants.not_found", detail: "Not this one." });
  expect((refused as Problem).cause).toBeUndefined();
  const crashed: unknown = await pair.peer.call("crash", null).catch((failure: unknown) => failure);
  expect(crashed).toMatchObject({ code: "internal", detail: undefined });
  expect(JSON.stringify(crashed)).not.toContain("inner secret");
});

test("what cannot be cloned fails its own call and no other", async () => {
  await using pair = openPair();
  await expect(pair.peer.call("echo", () => 1)).rejects.toMatchObject({ code: "internal" });
  await expect(pair.peer.call("giveFunction", null)).rejects.toMatchObject({ code: "internal" });
  expect(await pair.peer.call("echo", 1)).toBe(1);
});

test("a method that the other side lacks is refused, also one that every object has", async () => {
  await using pair = openPair();
  for (const method of ["absent", "toString", "__proto__"]) {
    await expect(pair.peer.call(method as "echo", null)).rejects.toMatchObject({ code: "api.unknown_path" });
  }
});

test("when the other process dies everything pending fails at once, and so do later calls", async () => {
  await using pair = openPair();
  await pair.peer.call("echo", 1);
  const pending = [pair.peer.call("hang", null), pair.peer.call("hang", null)].map((call) =>
    expect(call).rejects.toMatchObject({ code: "process.gone" }),
  );
  pair.child.kill("SIGKILL");
  await Promise.all(pending);
  await pair.peer.closed;
  await expect(pair.peer.call("echo", 1)).rejects.toMatchObject({ code: "process.gone" });
  pair.peer.notify("noted", "lost without a word");
});

test("a deadline and an abort end the call here and reach the handler there", async () => {
  await using pair = openPair();
  await pair.peer.call("echo", 1);
  await expect(pair.peer.call("hang", null, { timeoutMs: 20 })).rejects.toMatchObject({ code: "process.timeout" });
  const abort = new AbortController();
  const call = pair.peer.call("hang", null, { signal: abort.signal });
  abort.abort(new Error("changed my mind"));
  await expect(call).rejects.toThrow("changed my mind");
  await expect(pair.peer.call("echo", 1, { signal: abort.signal })).rejects.toThrow("changed my mind");
  await eventually(async () => (await pair.peer.call("countAborted", null)) === 2);
});

test("more calls than may wait are refused without being sent", async () => {
  await using pair = openPair({ maxPending: 2 });
  const waiting = [pair.peer.call("hang", null), pair.peer.call("hang", null)];
  for (const call of waiting) call.catch(() => undefined);
  await expect(pair.peer.call("echo", 1)).rejects.toMatchObject({ code: "process.busy" });
});

test("notes to a side that does not read are dropped, not hoarded, and flow again when it does", async () => {
  await using pair = openPair();
  await pair.peer.call("echo", 1);
  const blocked = pair.peer.call("block", 300);
  const big = "x".repeat(100_000);
  let taken = 0;
  while (pair.peer.notify("noted", big)) {
    taken += 1;
    if (taken % 16 === 0) await new Promise(setImmediate);
    expect(taken).toBeLessThan(1_000);
  }
  await blocked;
  await eventually(() => pair.peer.notify("noted", "again"));
  await eventually(() => pair.heard.includes("noted again"));
});

test("disposing, or the signal, ends the peer and lets the child go", async () => {
  const abort = new AbortController();
  await using pair = openPair({ signal: abort.signal });
  await pair.peer.call("echo", 1);
  const call = pair.peer.call("hang", null);
  abort.abort();
  await expect(call).rejects.toMatchObject({ code: "process.gone" });
  await pair.peer.closed;
  pair.child.disconnect();
  await pair.exited;
  expect(pair.child.exitCode).toBe(0);
});
