import { describe, expect, test } from "vitest";
import type { Field } from "../../src/http1/messages.ts";
import { ACCEPTED_REQUESTS } from "./accepted-requests.ts";
import { type NodeMessage, readRequestsWithNode, readResponseWithNode } from "./node-reading.ts";
import { type ReadRequest, readRequests } from "./read-requests.ts";
import { readResponse } from "./read-response.ts";
import { REFUSED_REQUESTS } from "./refused-requests.ts";
import { RESPONSES } from "./responses.ts";

const latin1 = (text: string) => Buffer.from(text, "latin1");
const pairs = (fields: readonly Field[]) => fields.flatMap(({ name, value }) => [name, value]);

function asNode({ head, body, isWhole }: ReadRequest): NodeMessage {
  return { line: `${head.method} ${head.target} 1.${head.minorVersion}`, fields: pairs(head.fields), body, isWhole };
}

describe("what the gate accepts, Node reads in the same way", () => {
  test.each(ACCEPTED_REQUESTS)("$name", async ({ bytes }) => {
    const { messages, error } = await readRequestsWithNode(latin1(bytes));
    expect(error).toBeUndefined();
    expect(messages).toEqual(readRequests([latin1(bytes)]).requests.map(asNode));
  });

  const answered = RESPONSES.filter(({ state }) => !state.startsWith("refused"));
  test.each(answered)("an answer: $name", async ({ bytes, method = "GET", state }) => {
    const { head, body } = readResponse([latin1(bytes)], method);
    const { messages, error } = await readResponseWithNode(latin1(bytes), method);
    if (head === undefined) return expect(error).toBeDefined();
    const line = `1.${head.minorVersion} ${head.status} ${head.reason}`;
    expect(messages).toEqual([{ line, fields: pairs(head.fields), body, isWhole: state === "complete" }]);
  });
});

describe("before it refuses, the gate has passed on nothing that Node reads otherwise", () => {
  const short = REFUSED_REQUESTS.filter(({ bytes }) => bytes.length < 4_096);
  test.each(short)("$name", async ({ bytes }) => {
    const { messages } = await readRequestsWithNode(latin1(bytes));
    const passed = readRequests([latin1(bytes)]).requests.filter(({ isWhole }) => isWhole);
    expect(messages.slice(0, passed.length)).toEqual(passed.map(asNode));
  });
});
