import { createCa, mintServerLeaf } from "@gatehouse/kit";
import { eventually } from "@gatehouse/testbed";
import { beforeAll, expect, test } from "vitest";
import { LeafContexts } from "../../src/tls/leaf-contexts.ts";
import { allowing, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

const DAY_MS = 86_400_000;
let ca: Awaited<ReturnType<typeof createCa>>;

beforeAll(async () => {
  ca = await createCa({ commonName: "Gatehouse interception", days: 2, pathLength: 0 });
});

/** Contexts whose key-holder answers with the same leaf to everybody and counts the questions. */
async function openContexts(onMint: (name: string) => void = () => undefined) {
  const asked: string[] = [];
  const clock = { nowMs: 0 };
  let certificatePem: string | undefined;
  const contexts = new LeafContexts({
    caCertificatePem: ca.certificatePem,
    now: () => clock.nowMs,
    mint: async ({ name, publicKey }) => {
      asked.push(name);
      onMint(name);
      certificatePem ??= await mintServerLeaf({ ca, name: "a.test", publicKey, ttlMs: DAY_MS });
      return { certificatePem, notAfter: clock.nowMs + DAY_MS, ticketKeys: Buffer.alloc(48) };
    },
  });
  return { contexts, asked, clock };
}

test("a leaf is minted once, however many ask at the same time or later", async () => {
  const { contexts, asked } = await openContexts();
  const [first, second] = await Promise.all([contexts.contextFor("a.test"), contexts.contextFor("a.test")]);
  expect(first).toBe(second);
  expect(await contexts.contextFor("a.test")).toBe(first);
  expect(asked).toEqual(["a.test"]);
});

test("a leaf that is about to end is minted anew", async () => {
  const { contexts, asked, clock } = await openContexts();
  const first = await contexts.contextFor("a.test");
  clock.nowMs = DAY_MS / 2;
  expect(await contexts.contextFor("a.test")).toBe(first);
  clock.nowMs = DAY_MS - 60_000;
  expect(await contexts.contextFor("a.test")).not.toBe(first);
  expect(asked).toHaveLength(2);
});

test("a mint that failed is tried again", async () => {
  let fails = true;
  const { contexts, asked } = await openContexts(() => {
    if (fails) throw new Error("the key-holder is away");
  });
  await expect(contexts.contextFor("a.test")).rejects.toThrow("away");
  fails = false;
  await contexts.contextFor("a.test");
  expect(asked).toHaveLength(2);
});

test("the number of leaves is bounded, and the one that was not used for longest goes", {
  timeout: 30_000,
}, async () => {
  const { contexts, asked } = await openContexts();
  for (let index = 0; index < 4_096; index += 1) await contexts.contextFor(`${index}.test`);
  await contexts.contextFor("0.test");
  expect(asked).toHaveLength(4_096);
  await contexts.contextFor("one-more.test");
  await contexts.contextFor("0.test");
  expect(asked).toHaveLength(4_097);
  await contexts.contextFor("1.test");
  expect(asked).toHaveLength(4_098);
});

test("without a leaf the tunnel is cut, which is recorded, and the service sees nothing", async () => {
  await using origin = await openRawOrigin(outside, () => ok("hello"));
  await using gate = await openGate({ deps: { mintLeaf: () => Promise.reject(new Error("away")) } });
  const host = `api.test:${origin.port}`;
  await gate.put({ policy: allowing(host) });
  await expect(gate.tunnel(host)).rejects.toThrow();
  await eventually("the record", () => gate.records.some(({ code }) => code === "gate.credential_unavailable"));
  expect(origin.connections).toBe(0);
});
