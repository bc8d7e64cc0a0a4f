// What reading heads, chunks and scrubbing cost, in CPU time of one core.
import { BodyReader } from "../../packages/gate/src/http1/body-reader.ts";
import { RequestHeadReader } from "../../packages/gate/src/http1/request-head-reader.ts";
import { ResponseHeadReader } from "../../packages/gate/src/http1/response-head-reader.ts";
import { encodeChunk, encodeLastChunk } from "../../packages/gate/src/http1/serialise.ts";
import { Scrubber } from "../../packages/gate/src/scrub/scrubber.ts";
import { SoughtValues } from "../../packages/gate/src/scrub/sought-values.ts";
import type { Row } from "../row.ts";
import { readHeadAsText } from "./text-reader.ts";

const ROUNDS = 5;
const MIB = 1_048_576;

const lines = (...all: readonly string[]) => Buffer.from(`${all.join("\r\n")}\r\n\r\n`, "latin1");
const MODEL_CALL = lines(
  "POST /v1/messages?beta=true HTTP/1.1",
  "Host: api.example.com",
  "Accept: application/json",
  "Content-Type: application/json",
  "User-Agent: Client/JS 0.60.0",
  "X-Client-Lang: js",
  "X-Client-Package-Version: 0.60.0",
  "X-Client-OS: Linux",
  "X-Client-Arch: x64",
  "X-Api-Version: 2023-06-01",
  "Authorization: Bearer gh-placeholder-abcdefghijklmnopqrstuvwxyz012345",
  "Accept-Language: *",
  "Sec-Fetch-Mode: cors",
  "Accept-Encoding: gzip, deflate",
  "Connection: keep-alive",
  "Content-Length: 1024",
);
const CURL = lines("GET /a HTTP/1.1", "Host: api.example.com", "User-Agent: curl/8.0", "Accept: */*");
const ANSWER = lines(
  "HTTP/1.1 200 OK",
  "Date: Tue, 24 Nov 2026 13:00:00 GMT",
  "Content-Type: application/json; charset=utf-8",
  "Content-Length: 1024",
  "Connection: keep-alive",
  'ETag: W/"0123456789abcdef"',
  "Vary: Accept-Encoding",
  "X-Request-Id: 0123456789abcdef0123456789abcdef",
);

/** The median of several rounds: how often per second of CPU time. */
function rate(times: number, work: () => void): number {
  const rates = Array.from({ length: ROUNDS + 1 }, () => {
    const before = process.cpuUsage();
    for (let done = 0; done < times; done += 1) work();
    const { user, system } = process.cpuUsage(before);
    return times / ((user + system) / 1e6);
  });
  // The first round warms up.
  return rates.slice(1).sort((a, b) => a - b)[Math.floor(ROUNDS / 2)] ?? 0;
}

function headRows(): Row[] {
  const requests = new RequestHeadReader();
  const responses = new ResponseHeadReader();
  const request = (head: Buffer) => () => {
    if (requests.push(head).kind !== "head") throw new Error("the head was not read");
  };
  const full = rate(100_000, request(MODEL_CALL));
  const plain = rate(100_000, () => readHeadAsText(MODEL_CALL));
  const answers = rate(100_000, () => {
    if (responses.push(ANSWER, { method: "GET" }).kind !== "head") throw new Error("the head was not read");
  });
  return [
    { case: "request heads, 15 fields", value: Math.round(full), unit: "/s", target: { atLeast: 300_000 } },
    {
      case: "the same, beside cutting text and expressions",
      value: round(full / plain),
      unit: "x",
      target: { atLeast: 1 },
    },
    {
      case: "request heads, 3 fields",
      value: Math.round(rate(100_000, request(CURL))),
      unit: "/s",
      target: { atLeast: 600_000 },
    },
    { case: "response heads, 7 fields", value: Math.round(answers), unit: "/s", target: { atLeast: 500_000 } },
    { case: "request heads byte by byte", value: Math.round(rate(500, byBytes)), unit: "/s" },
  ];
}

function byBytes(): void {
  const reader = new RequestHeadReader();
  for (let at = 0; at < MODEL_CALL.length; at += 1) reader.push(MODEL_CALL.subarray(at, at + 1));
}

function chunkRows(): Row[] {
  return [64, 1_024, 16_384].map((size) => {
    const data = Buffer.alloc(size, "x");
    const body = Buffer.concat([
      ...Array.from({ length: MIB / size }, () => encodeChunk(data)).flat(),
      encodeLastChunk([]),
    ]);
    const perSecond = rate(20, () => {
      if (new BodyReader({ kind: "chunked" }).push(body).state !== "end") throw new Error("the body was not read");
    });
    return { case: `chunks of ${size} bytes`, value: Math.round(perSecond), unit: "MiB/s" };
  });
}

/** As TLS gives them out. */
const PIECE = 16_384;

/** Whole bodies through the whole scrubber: search, reading of escapes, and what is held back between two pieces. */
function scrubRows(): Row[] {
  const items = Array.from({ length: 20_000 }, (_, at) => `{"id":${at},"name":"item ${at * 7_919}","type":"bearer"},`);
  const plain = Buffer.from(items.join("\n"));
  const escaped = Buffer.from(JSON.stringify(items.join("\n")));
  return [
    ...[1, 3, 200].map((count) => ({
      ...scrubRow(`scrubbing of ${count} values`, plain, { count }),
      target: { atLeast: 200 },
    })),
    scrubRow("scrubbing of 3 values, bytes that are no text", plain, { count: 3, isText: false }),
    scrubRow("scrubbing of 3 values, an escape every sixth character", escaped, { count: 3 }),
  ];
}

function scrubRow(name: string, body: Buffer, { count, isText = true }: { count: number; isText?: boolean }): Row {
  const pieces = Array.from({ length: Math.ceil(body.length / PIECE) }, (_, at) =>
    body.subarray(at * PIECE, (at + 1) * PIECE),
  );
  const values = Array.from({ length: count }, (_, at) => ({
    value: `sk-${(at * 2_654_435_761).toString(36)}-0123456789-${at}`,
    overwrite: "",
  }));
  const scrubber = new Scrubber(new SoughtValues(values), isText);
  const perSecond = rate(20, () => {
    for (const piece of pieces) scrubber.push(piece);
    scrubber.end();
  });
  return { case: name, value: Math.round((perSecond * body.length) / MIB), unit: "MiB/s" };
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** Reading of heads and chunks, and scrubbing, in CPU time of this process. */
export function benchFraming(): Promise<Row[]> {
  return Promise.resolve([...headRows(), ...chunkRows(), ...scrubRows()]);
}
