import { createCa, mintServerLeaf } from "@gatehouse/kit";
import { eventually } from "@gatehouse/testbed";
import { beforeAll, expect, test } from "vitest";
import { LeafContexts, type LeafLimits, type MintLeaf } from "../../src/tls/leaf-contexts.ts";
import { allowing, openGate, outside } from "./gate-under-test.ts";
import { ok, openRawOrigin } from "./raw-origin.ts";

const DAY_MS = 86_400_000;
let ca: Awaited<ReturnType<typeof createCa>>;

beforeAll(async () => {
  ca = await createCa({ commonName: "Gatehouse interception", days: 2, pathLength: 0 });
});

interface Contexts {
  readonly onMint?: (name: string) => unknown;
  readonly ticketsMs?: number;
  readonly limits?: LeafLimits;
}

/** Contexts whose key-holder answers with the same leaf to everybody and counts the questions. */
async function openContexts({ onMint, ticketsMs = DAY_MS, limits }: Contexts = {}) {
  const asked: string[] = [];
  const clock = { nowMs: 0 };
  let certificatePem: string | undefined;
  const mint: MintLeaf = async ({ name, publicKey }) => {
    asked.push(name);
    await onMint?.(name);
    certificatePem ??= await mintServerLeaf({ ca, name: "a.test", publicKey, ttlMs: DAY_MS });
    const notAfter = clock.nowMs + DAY_MS;
    return { certificatePem, notAfter, ticketKeys: Buffer.alloc(48), ticketsUntil: clock.nowMs + ticketsMs };
  };
  const contexts = new LeafContexts({ caCertificatePem: ca.certificatePem, now: () => clock.nowMs, mint }, limits);
  const contextFor = (host: string, runId: string = "run-1") => contexts.ask(host, runId).found;
  return { contexts, contextFor, asked, clock };
}

test("a leaf is minted once, however many ask at the same time or later", async () => {
  const { contextFor, asked } = await openContexts();
  const [first, second] = await Promise.all([contextFor("a.test"), contextFor("a.test")]);
  expect(first).toBe(second);
  expect(await contextFor("a.test")).toBe(first);
  expect(asked).toEqual(["a.test"]);
});

test("a leaf that is about to end is minted anew", async () => {
  const { contextFor, asked, clock } = await openContexts();
  const first = await contextFor("a.test");
  clock.nowMs = DAY_MS / 2;
  expect(await contextFor("a.test")).toBe(first);
  clock.nowMs = DAY_MS - 60_000;
  expect(await contextFor("a.test")).not.toBe(first);
  expect(asked).toHaveLength(2);
});

test("a mint that failed is tried again", async () => {
  let fails = true;
  const { contextFor, asked } = await openContexts({
    onMint: () => {
      if (fails) throw new Error("the key-holder is away");
    },
  });
  await expect(contextFor("a.test")).rejects.toThrow("away");
  fails = false;
  await contextFor("a.test");
  expect(asked).toHaveLength(2);
});

test("a leaf is minted anew when its tickets' keys are over", async () => {
  const { contextFor, asked, clock } = await openContexts({ ticketsMs: 1_000 });
  const first = await contextFor("a.test");
  clock.nowMs = 1_000;
  expect(await contextFor("a.test")).not.toBe(first);
  expect(asked).toHaveLength(2);
});

test("a run that asks for names without end pushes out its own leaves, the one first that it did not use for longest", async () => {
  const { contextFor, asked } = await openContexts({ limits: { all: 100, ofRun: 20 } });
  await contextFor("mine.test", "run-2");
  await contextFor("both.test", "run-1");
  for (let index = 0; index < 19; index += 1) await contextFor(`${index}.test`);
  // Used by a run that has fewer, it is of that run from then on.
  await contextFor("both.test", "run-2");
  await contextFor("0.test");
  const before = asked.length;
  for (let index = 0; index < 19; index += 1) await contextFor(`more-${index}.test`);
  await contextFor("mine.test", "run-2");
  await contextFor("both.test", "run-2");
  await contextFor("0.test");
  expect(asked).toHaveLength(before + 19);
  await contextFor("1.test");
  expect(asked).toHaveLength(before + 20);
});

test("the number of leaves is bounded; the run that has most gives its oldest", async () => {
  const { contextFor, asked } = await openContexts({ limits: { all: 40, ofRun: 20 } });
  await contextFor("mine.test", "run-0");
  for (let index = 0; index < 39; index += 1) await contextFor(`${index}.test`, `run-${1 + (index % 5)}`);
  await contextFor("last.test", "run-1");
  await contextFor("mine.test", "run-0");
  expect(asked).toHaveLength(41);
  await contextFor("1.test", "run-2");
  expect(asked).toHaveLength(41);
  await contextFor("0.test", "run-1");
  expect(asked).toHaveLength(42);
});

test("a run with any number of leaves to be minted leaves room for another's, and what its clients left is not minted", async () => {
  const { promise: signed, resolve: sign } = Promise.withResolvers<void>();
  const { contexts, contextFor, asked } = await openContexts({
    onMint: (name) => (name.startsWith("mine") ? undefined : signed),
  });
  const flood = Array.from({ length: 1_000 }, (_, index) => contexts.ask(`${index}.test`, "run-1"));
  expect(asked).toEqual(["0.test", "1.test"]);
  await contextFor("mine.test", "run-2");
  for (const one of flood) one[Symbol.dispose]();
  sign();
  await Promise.all(flood.slice(0, 2).map(({ found }) => found));
  await contextFor("mine-too.test", "run-1");
  expect(asked).toEqual(["0.test", "1.test", "mine.test", "mine-too.test"]);
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
