import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import { connect, TLSSocket } from "node:tls";
import { systemClock, systemRandom } from "@gatehouse/core";
import { createCa } from "@gatehouse/kit";
import { listenOnLoopback } from "@gatehouse/testbed";
import { beforeAll, expect, test } from "vitest";
import { LeafMint } from "../../src/holder/leaf-mint.ts";
import { LeafContexts } from "../../src/tls/leaf-contexts.ts";

const DAY_MS = 86_400_000;
let ca: Awaited<ReturnType<typeof createCa>>;

beforeAll(async () => {
  ca = await createCa({ commonName: "Gatehouse interception", days: 2, pathLength: 0 });
});

/** A worker's contexts, with a key of its own. */
function openWorkerContexts(leaves: LeafMint, now: () => number = Date.now): LeafContexts {
  return new LeafContexts({
    caCertificatePem: ca.certificatePem,
    now,
    mint: (request) => leaves.mint(request),
  });
}

/** Whether a session with `a.test` at one worker is resumed at another, which answers for another host perhaps. */
async function isResumed(one: LeafContexts, other: LeafContexts, otherHost = "a.test"): Promise<boolean> {
  const first = await shakeHands(one, "a.test");
  const [session] = (await once(first.client, "session")) as [Buffer];
  await first[Symbol.asyncDispose]();
  await using second = await shakeHands(other, otherHost, session);
  return second.client.isSessionReused();
}

async function shakeHands(contexts: LeafContexts, host: string, session?: Buffer) {
  const secureContext = await contexts.ask(host, "run-1").found;
  const server = createServer((accepted: Socket) => {
    const stream = new TLSSocket(accepted, { isServer: true, secureContext });
    stream.on("error", () => stream.destroy());
    stream.resume();
  });
  const loopback = await listenOnLoopback(server);
  const client = connect({
    port: loopback.port,
    host: "127.0.0.1",
    // The client asks for the same name always: the ticket's key alone decides.
    servername: "a.test",
    checkServerIdentity: () => undefined,
    ca: ca.certificatePem,
    ...(session === undefined ? {} : { session }),
  });
  await once(client, "secureConnect");
  const close = async () => {
    client.destroy();
    await loopback[Symbol.asyncDispose]();
  };
  return { client, [Symbol.asyncDispose]: close };
}

test("a client resumes its session at any worker", async () => {
  const leaves = new LeafMint({ ca, clock: systemClock, random: systemRandom });
  expect(await isResumed(openWorkerContexts(leaves), openWorkerContexts(leaves))).toBe(true);
});

test("a ticket for one host opens no other, and none of another gate's", async () => {
  const leaves = new LeafMint({ ca, clock: systemClock, random: systemRandom });
  const others = new LeafMint({ ca, clock: systemClock, random: systemRandom });
  expect(await isResumed(openWorkerContexts(leaves), openWorkerContexts(leaves), "b.test")).toBe(false);
  expect(await isResumed(openWorkerContexts(leaves), openWorkerContexts(others))).toBe(false);
});

test("the secret of the tickets is another one after a day, and a worker keeps no key of it", async () => {
  const startedAt = Date.now();
  let movedMs = 0;
  const clock = { now: () => startedAt + movedMs, monotonicMs: () => movedMs };
  const leaves = new LeafMint({ ca, clock, random: systemRandom });
  const worker = openWorkerContexts(leaves, clock.now);
  const first = await shakeHands(worker, "a.test");
  const [session] = (await once(first.client, "session")) as [Buffer];
  await first[Symbol.asyncDispose]();
  movedMs = DAY_MS - 1;
  expect(await isResumed(worker, openWorkerContexts(leaves, clock.now))).toBe(true);
  movedMs = DAY_MS;
  await using second = await shakeHands(worker, "a.test", session);
  expect(second.client.isSessionReused()).toBe(false);
});
