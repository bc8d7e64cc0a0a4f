import { existsSync } from "node:fs";
import { setImmediate } from "node:timers/promises";
import { createServer, type TLSSocket } from "node:tls";
import { listenOnLoopback } from "@gatehouse/testbed";
import { afterAll, describe, expect, test } from "vitest";
import { cutAt, cutEverywhere } from "../http1/read-requests.ts";
import { readResponse } from "../http1/read-response.ts";
import { RESPONSES, type ResponseCase } from "../http1/responses.ts";
import { allowing, injection, openGate, outside } from "../worker/gate-under-test.ts";
import { CONFUSING_ANSWERS } from "./answers.ts";
import { PlainStream } from "./plain-stream.ts";
import {
  type Answered,
  CURL_PROGRAM,
  readAnswersWithCurl,
  readAnswersWithNode,
  type SeenAnswer,
} from "./readers/answer-reader.ts";
import { H11_PACKAGE, readAnswersWithH11 } from "./readers/h11-reader.ts";

const TRUE_ANSWER = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue";
const UNFINISHED = "POST /unfinished HTTP/1.1";
let pieces: readonly Buffer[] = [];
let endsBehind = false;
const sockets: TLSSocket[] = [];

/** Answers the first request of a case with its bytes, and the one behind it with the truth. */
async function answer(socket: TLSSocket, request: string): Promise<void> {
  if (request.includes("/the-end ")) return void socket.write(TRUE_ANSWER);
  for (const piece of pieces) {
    socket.write(piece);
    if (pieces.length > 1) await setImmediate();
  }
  if (endsBehind) socket.end();
}

const origin = await listenOnLoopback(
  createServer(outside.serverOptions, (socket) => {
    sockets.push(socket);
    socket.setNoDelay(true);
    socket.on("error", () => undefined);
    let head = "";
    socket.on("data", (chunk: Buffer) => {
      head += chunk.toString("latin1");
      if (!head.includes("\r\n\r\n")) return;
      const request = head;
      head = "";
      answer(socket, request).catch(() => socket.destroy());
    });
  }),
);
const gate = await openGate();
const host = `api.test:${origin.port}`;
await gate.put({
  policy: allowing(host),
  injections: [injection(host, "Bearer real-value")],
  scrub: [{ value: "real-value", overwrite: "placehold." }],
});
afterAll(async () => {
  await gate[Symbol.asyncDispose]();
  await origin[Symbol.asyncDispose]();
});

interface Outcome {
  /** What came in answer to the first request. */
  readonly bytes: Buffer;
  /** Whether the request behind it was answered, with the truth. */
  readonly goesOn: boolean;
}

async function ask(start: string, more = ""): Promise<Outcome> {
  const client = await gate.tunnel(host);
  const stream = new PlainStream(client.stream.release());
  const next = `GET /the-end HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
  stream.socket.write(`${start}\r\nHost: ${host}\r\n${more}\r\n${start === UNFINISHED ? "begin" : next}`);
  await stream.until(() => stream.isClosed || stream.text.endsWith(TRUE_ANSWER));
  stream.socket.destroy();
  const goesOn = stream.text.endsWith(TRUE_ANSWER);
  const text = goesOn ? stream.text.slice(0, -TRUE_ANSWER.length) : stream.text;
  expect(text).not.toContain("forged!");
  return { bytes: Buffer.from(text, "latin1"), goesOn };
}

const kept: (Answered & { readonly name: string; readonly expected: SeenAnswer })[] = [];
const ALL = [...RESPONSES, ...CONFUSING_ANSWERS];

describe("what a service may answer", () => {
  test.each(ALL)("$name", async (one) => {
    const bytes = Buffer.from(one.bytes, "latin1");
    const { method = "GET" } = one;
    const { head, body } = readResponse([bytes], method);
    const expected = expectedOf(one, { status: head?.status ?? 0, body });
    endsBehind = one.state === "truncated" || head?.framing.kind === "close";
    for (pieces of splitsOf(one, bytes)) {
      const outcome = await ask(`${method} /case HTTP/1.1`);
      const denied = /X-Gatehouse-Denied: gate\.upstream_(?:protocol|unreachable)/.test(
        outcome.bytes.toString("latin1"),
      );
      expect(denied).toBe(expected.status === 502);
      // Nothing that is whole is taken for broken, and behind what is broken nothing is believed.
      expect(outcome.goesOn).toBe(expected.isWhole);
      if (pieces.length === 1) kept.push({ name: one.name, method, bytes: outcome.bytes, expected });
    }
  });
});

function splitsOf({ rest }: ResponseCase, bytes: Buffer): readonly (readonly Buffer[])[] {
  // Bytes that come after the next request was sent are, to every reader, its answer.
  if (rest !== undefined) return [[bytes]];
  return [[bytes], bytes.length < 700 ? cutEverywhere(bytes) : cutAt(bytes, [100, bytes.length - 3])];
}

/** As the client must see it: a head that is no answer becomes a problem, a body that breaks off breaks off. */
function expectedOf({ state }: ResponseCase, read: { readonly status: number; readonly body: string }): SeenAnswer {
  if (state === "complete") return { ...read, isWhole: true };
  return read.status === 0 ? { status: 502, body: "", isWhole: true } : { ...read, isWhole: false };
}

describe("what the gate makes of an answer is the same to other clients", () => {
  const readers = [
    { read: readAnswersWithNode, needs: process.execPath },
    { read: readAnswersWithH11, needs: H11_PACKAGE },
    { read: readAnswersWithCurl, needs: CURL_PROGRAM },
  ];
  test.for(readers)("$read.name", async ({ read, needs }, context) => {
    if (!existsSync(needs)) context.skip(`there is no ${needs}`);
    expect(kept.length).toBe(ALL.length);
    const seen = await read(kept);
    expect(seen.map((one, at) => comparable(kept[at]?.name, one))).toEqual(
      kept.map(({ name, expected }) => comparable(name, expected)),
    );
  });
});

/** Of an answer that breaks off, its end is all that counts; the body of a problem is the gate's own. */
function comparable(name: string | undefined, { status, body, isWhole }: SeenAnswer) {
  return isWhole ? { name, status, body: status === 502 ? "" : body } : { name, status: "broken" };
}

const HELLO = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const CHUNKS = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n";

test.each([
  ["chunks", CHUNKS, "Connection: close"],
  ["a length", HELLO, "Content-Length: 5"],
  ["a body up to the end", "HTTP/1.1 200 OK\r\n\r\nhello", "Connection: close"],
])("an HTTP/1.0 client gets %s without a coding that it does not know", async (_, bytes, field) => {
  pieces = [Buffer.from(bytes)];
  endsBehind = bytes.endsWith("\r\n\r\nhello") && bytes !== HELLO;
  const outcome = await ask("GET /case HTTP/1.0");
  expect(outcome.bytes.toString()).toContain(field);
  expect(outcome.bytes.toString().toLowerCase()).not.toContain("transfer-encoding");
  expect(outcome.bytes.toString().endsWith("\r\n\r\nhello")).toBe(true);
});

test.each([
  ["unasked", "", "websocket"],
  ["to another protocol", "Connection: Upgrade\r\nUpgrade: websocket\r\n", "other"],
  ["to HTTP/2, asked for", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n", "h2c"],
])("101 %s is a problem, and nothing behind it is passed on", async (_, asked, protocol) => {
  const switched = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n\r\nforged!`;
  pieces = [Buffer.from(switched)];
  endsBehind = false;
  const outcome = await ask("GET /case HTTP/1.1", asked);
  expect(outcome.bytes.toString()).toContain("X-Gatehouse-Denied: gate.upstream_protocol");
  expect(outcome.goesOn).toBe(true);
});

test("seventeen interim answers are too many", async () => {
  pieces = [Buffer.from("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(17) + HELLO)];
  endsBehind = false;
  const outcome = await ask("GET /case HTTP/1.1");
  expect(outcome.bytes.toString()).toContain("X-Gatehouse-Denied: gate.upstream_protocol");
  expect(outcome.bytes.toString()).not.toContain("hello");
});

test("an answer before the request's end passes, and both connections end", async () => {
  pieces = [Buffer.from(HELLO)];
  endsBehind = false;
  const before = sockets.length;
  const outcome = await ask(UNFINISHED, "Content-Length: 500\r\n");
  expect(outcome.bytes.toString()).toMatch(/\r\nConnection: close\r\n\r\nhello$/);
  expect(sockets.length).toBe(before + 1);
});

test("nothing was thrown through all of it", () => {
  expect(gate.faults).toEqual([]);
});
