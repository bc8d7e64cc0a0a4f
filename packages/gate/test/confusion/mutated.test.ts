import { seededRandom } from "@gatehouse/testbed";
import { afterAll, describe, expect, test } from "vitest";
import { mutate } from "../http1/mutate.ts";
import { type ReadStream, readRequests } from "../http1/read-requests.ts";
import type { Way } from "./confusion-case.ts";
import { GateInTheMiddle } from "./gate-in-the-middle.ts";
import type { PlainMessage } from "./plain-stream.ts";
import { openNodeReader } from "./readers/node-reader.ts";
import { authorityCases } from "./requests/authority.ts";
import { connectionCases } from "./requests/connection.ts";
import { fieldCases } from "./requests/fields.ts";
import { framingCases } from "./requests/framing.ts";
import { targetCases } from "./requests/target.ts";

const SEED = Number(process.env.FUZZ_SEED ?? 20_261_125);
const RUNS = Number(process.env.FUZZ_RUNS ?? 400);
const MAX_BYTES = 2_048;
const DEADLINE_MS = Number(process.env.FUZZ_MS ?? 30_000);
const TIMEOUT_MS = DEADLINE_MS + 60_000;
/** Ends whatever was begun: no head, no chunk and no short body goes on through it. */
const TAIL = Buffer.from(`\r\n\r\n${"\0".repeat(700)}`);
const TABLES = [framingCases, authorityCases, targetCases, fieldCases, connectionCases];

const middle = await GateInTheMiddle.open();
afterAll(() => middle[Symbol.asyncDispose]());

/** Whether the messages stand among the requests that the gate's parser sees, in their order. */
function areAmong(messages: readonly PlainMessage[], { requests }: ReadStream): boolean {
  const seen = requests.filter(({ isWhole }) => isWhole).map(({ head, body }) => `${head.method} ${body}`);
  let at = 0;
  return messages.every(({ start, body }) => {
    at = seen.indexOf(`${start.split(" ")[0]} ${body}`, at) + 1;
    return at > 0;
  });
}

interface Arrived {
  readonly bytes: Buffer;
  readonly messages: number;
}

async function sendMutated(way: Way): Promise<readonly Arrived[]> {
  const cases = TABLES.flatMap((table) => table(way)).map(({ sends }) => Buffer.from(sends, "latin1"));
  const corpus = cases.filter(({ length }) => length < MAX_BYTES);
  const random = seededRandom(SEED);
  const arrived: Arrived[] = [];
  const endMs = performance.now() + DEADLINE_MS;
  for (let run = 0; run < RUNS && performance.now() < endMs; run += 1) {
    const bytes = Buffer.concat([mutate(corpus, random), TAIL]);
    const stream = readRequests([bytes]);
    const endsByItself = stream.state === "closed" || stream.state.startsWith("refused");
    for (const { messages, text, unread } of await middle.send(bytes, way, endsByItself)) {
      for (const message of messages) middle.checkHead(message, way);
      if (stream.state !== "switching") expect(areAmong(messages, stream), bytes.toString("latin1")).toBe(true);
      const whole = Buffer.from(text.slice(0, text.length - unread.length), "latin1");
      arrived.push({ bytes: whole, messages: messages.length });
    }
  }
  return arrived;
}

describe(`mutated requests through a worker (seed ${SEED})`, () => {
  test.each([{ kind: "tunnel" }, { kind: "front" }] as const)("$kind", { timeout: TIMEOUT_MS }, async ({ kind }) => {
    const all = await sendMutated(middle.way(kind));
    await middle.checkAlive();
    expect(all.filter(({ messages }) => messages > 0).length).toBeGreaterThan(0);
    // Behind a request for another protocol Node reads no further.
    const arrived = all.filter(({ bytes }) => !bytes.includes("\r\nUpgrade: "));
    await using node = openNodeReader();
    const readings = await node.read(arrived.map(({ bytes }) => bytes));
    const unlike = arrived.filter(({ messages }, at) => {
      const { requests = [], hasRefused = false } = readings[at] ?? {};
      return hasRefused ? requests.length > messages : requests.length !== messages;
    });
    expect(unlike.map(({ bytes }) => bytes.toString("latin1"))).toEqual([]);
  });
});
