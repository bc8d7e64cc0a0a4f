import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Problem, systemClock } from "@gatehouse/core";
import { createLog, type KeySetDocument } from "@gatehouse/kit";
import { ControlStreamResponseSchema, createMessageCheck, HeartbeatSchema } from "@gatehouse/wire";
import { expect, test } from "vitest";
import type { CommandCourt } from "../src/commands/judge-command.ts";
import { type HoldDeps, holdStream } from "../src/uplink/hold-stream.ts";
import type { NodeSession } from "../src/uplink/node-session.ts";
import { ServerTime } from "../src/uplink/server-time.ts";

type Said = NonNullable<MessageInitShape<typeof ControlStreamResponseSchema>["message"]>;

const command: Said = { case: "command", value: {} };
const accepted = (keySetEpoch: bigint): Said => ({
  case: "accepted",
  value: { serverTime: 1n, sessionExpiresAt: 900_001n, keySetEpoch },
});

/** Holds a stream on which the server says these things; answers by which key sets its commands were judged. */
async function hold(session: Pick<NodeSession, "keySet" | "learnKeySet">, said: readonly Said[]) {
  const epochs: number[] = [];
  async function* controlStream() {
    for (const message of said) yield create(ControlStreamResponseSchema, { message });
  }
  const own = {
    node: { org_id: "o1", node_id: "n1" },
    gateway: { controlStream },
    proofs: { useNonce: () => undefined },
  };
  const executor = {
    take: async (_: unknown, { keySet }: CommandCourt) => void epochs.push(keySet.epoch),
    resend: () => undefined,
  };
  const deps = {
    executor,
    journal: { position: () => undefined, executing: () => [], forgetBefore: () => undefined },
    fleet: { header: undefined, hear: () => undefined },
    witness: {},
    time: new ServerTime(systemClock),
    check: createMessageCheck(),
    log: createLog({ level: "error", format: "json", write: () => undefined }),
    heartbeat: async () => create(HeartbeatSchema),
    bootId: "b",
    softwareVersion: "1",
  } as unknown as HoldDeps;
  const failure = await holdStream({ ...own, ...session } as unknown as NodeSession, deps, {
    signal: AbortSignal.timeout(10_000),
    onOpen: () => undefined,
  }).catch((problem: unknown) => problem);
  return { epochs, failure };
}

const ofEpoch = (epoch: number) => ({ epoch }) as KeySetDocument;

test("commands are judged by the newest key set that the host took, not by that of the session's start", async () => {
  let epoch = 1;
  const keySet = async () => ofEpoch(epoch++);
  const { epochs } = await hold({ keySet, learnKeySet: async () => undefined }, [command, command, command]);
  expect(epochs).toEqual([1, 2, 3]);
});

test("a key set that the server announces is taken before anything that comes after the announcement", async () => {
  let epoch = 1;
  const learned: number[] = [];
  const session = {
    keySet: async () => ofEpoch(epoch),
    learnKeySet: async (next: number) => {
      learned.push(next);
      epoch = next;
    },
  };
  const { epochs } = await hold(session, [accepted(1n), command, accepted(3n), command, accepted(2n)]);
  expect(epochs).toEqual([1, 3]);
  expect(learned).toEqual([3]);
});

test("an announced key set that nobody can prove ends the stream, and no later command is looked at", async () => {
  const untrusted = new Problem("server.untrusted");
  const session = { keySet: async () => ofEpoch(1), learnKeySet: () => Promise.reject(untrusted) };
  const { epochs, failure } = await hold(session, [command, accepted(9n), command]);
  expect(failure).toBe(untrusted);
  expect(epochs).toEqual([1]);
});
