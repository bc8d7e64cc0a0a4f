import { existsSync } from "node:fs";
import { afterAll, describe, expect, test } from "vitest";
import { cutAt, cutEverywhere } from "../http1/read-requests.ts";
import { REFUSED_REQUESTS } from "../http1/refused-requests.ts";
import type { ConfusionCase, Way } from "./confusion-case.ts";
import { GateInTheMiddle } from "./gate-in-the-middle.ts";
import { fieldOf, type PlainMessage, readPlainly } from "./plain-stream.ts";
import { H11_PACKAGE, openH11Reader } from "./readers/h11-reader.ts";
import { openNodeReader } from "./readers/node-reader.ts";
import { HAPROXY_PROGRAM, NGINX_PROGRAM, openHaproxyReader, openNginxReader } from "./readers/reverse-proxy-reader.ts";
import type { SeenRequest } from "./readers/upstream-reader.ts";
import { authorityCases } from "./requests/authority.ts";
import { connectionCases } from "./requests/connection.ts";
import { fieldCases } from "./requests/fields.ts";
import { framingCases } from "./requests/framing.ts";
import { guardedTargetCases, targetCases } from "./requests/target.ts";

const middle = await GateInTheMiddle.open();
afterAll(() => middle[Symbol.asyncDispose]());

const TABLES = [framingCases, authorityCases, targetCases, fieldCases, connectionCases];
const tunnel = middle.way("tunnel");
const front = middle.way("front");
const guarded = middle.way("tunnel", "sub.api.test");
const rows = (way: Way, cases: readonly ConfusionCase[]) => cases.map((one) => ({ name: one.name, one, way }));
const ROWS = {
  "inside an intercepted tunnel": rows(
    tunnel,
    TABLES.flatMap((table) => table(tunnel)),
  ),
  "in absolute-form at the front": rows(
    front,
    TABLES.flatMap((table) => table(front)),
  ),
  "as the parser's own tests have it": rows(
    tunnel,
    REFUSED_REQUESTS.map(({ name, bytes }) => ({
      name,
      sends: bytes.replaceAll("Host: example.com", `Host: ${tunnel.host}`),
      forwards: [],
      answers: ["gate.ambiguous_request"],
      end: "closed",
    })),
  ),
  "under rules that look at paths": rows(guarded, guardedTargetCases(guarded)),
};
/** Longer ones would cost more in bytes of their own than they tell. */
const MAX_SINGLE_BYTES = 700;
/** Bytes that reached the service, for other readers. */
const kept: { readonly name: string; readonly connections: readonly Buffer[] }[] = [];

for (const [place, cases] of Object.entries(ROWS)) {
  describe(`what may be read in two ways, ${place}`, () => {
    test.each(cases)("$name", async ({ one, way }) => {
      const bytes = Buffer.from(one.sends, "latin1");
      kept.push({ name: `${one.name}, ${place}`, connections: await middle.run(one, way, [bytes]) });
      const isSingle = way.kind === "front" && bytes.length <= MAX_SINGLE_BYTES;
      const cuts = [bytes.length >> 1, bytes.length - 2, bytes.length - 1];
      await middle.run(one, way, isSingle ? cutEverywhere(bytes) : cutAt(bytes, cuts));
    });
  });
}

test("all of them together: nothing was thrown or came late, and the credential went to granted hosts alone", async () => {
  await middle.checkAll();
  expect(ROWS["inside an intercepted tunnel"].length).toBeGreaterThan(120);
});

describe("what reached the service is the same to other servers, message by message", () => {
  const readers = [
    { open: openNodeReader, needs: process.execPath },
    { open: openNginxReader, needs: NGINX_PROGRAM },
    { open: openHaproxyReader, needs: HAPROXY_PROGRAM },
    { open: openH11Reader, needs: H11_PACKAGE },
  ];
  test.for(readers)("$open.name", async ({ open, needs }, context) => {
    if (!existsSync(needs)) context.skip(`there is no ${needs}`);
    await using reader = await open();
    const rows = kept.flatMap(({ name, connections }) => connections.map((bytes) => ({ name, ...readPlainly(bytes) })));
    expect(rows.length).toBeGreaterThan(200);
    const readings = await reader.read(rows.map(({ bytes }) => bytes));
    const refusing: string[] = [];
    for (const [at, { name, messages }] of rows.entries()) {
      const { requests = [], hasRefused = false } = readings[at] ?? {};
      const sent = messages.map(asSeen);
      expect(requests, `${reader.name}: ${name}`).toEqual(hasRefused ? sent.slice(0, requests.length) : sent);
      if (hasRefused) refusing.push(name);
    }
    console.log(`${reader.name}: ${rows.length - refusing.length} connections read alike; refused:`, refusing);
  });
});

function asSeen(message: PlainMessage): SeenRequest {
  const [method = "", target = ""] = message.start.split(" ");
  return { method, target, host: fieldOf(message, "host") ?? "", bodyBytes: message.body.length };
}
