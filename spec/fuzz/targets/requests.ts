import { doesNotMatch, ok, deepStrictEqual as same } from "node:assert";
import type { RandomNumber } from "@gatehouse/testbed";
import { ACCEPTED_REQUESTS } from "../../../packages/gate/test/http1/accepted-requests.ts";
import { mutate } from "../../../packages/gate/test/http1/mutate.ts";
import { readRequestsWithNode } from "../../../packages/gate/test/http1/node-reading.ts";
import { cutAt, type ReadStream, readRequests } from "../../../packages/gate/test/http1/read-requests.ts";
import { REFUSED_REQUESTS } from "../../../packages/gate/test/http1/refused-requests.ts";
import type { FuzzTarget } from "../fuzz-target.ts";

const MAX_BYTES = 2_048;
const asCorpus = (cases: readonly { readonly bytes: string }[]) =>
  cases.map(({ bytes }) => Buffer.from(bytes, "latin1")).filter(({ length }) => length > 0 && length < MAX_BYTES);
const ACCEPTED = asCorpus(ACCEPTED_REQUESTS);
const corpus = [...ACCEPTED, ...asCorpus(REFUSED_REQUESTS)];
/** Node knows no other methods, and takes no names for a CONNECT or an empty authority. */
const NARROWER_IN_NODE: ReadonlySet<string> = new Set(["HPE_INVALID_METHOD", "HPE_INVALID_URL"]);
const NODE_EVERY = 4;

/** Connections of requests: read alike however they are split, and by Node where the gate accepts. */
export const target: FuzzTarget = {
  corpus,
  generate: (random) => mutate(random(4) === 0 ? corpus : ACCEPTED, random),
  check: (bytes, random) => {
    const whole = readRequests([bytes]);
    const places = Array.from({ length: random(6) }, () => random(bytes.length + 1));
    same(readRequests(cutAt(bytes, places)), whole);
    for (const { head } of whole.requests) {
      const text = [head.method, head.target, ...head.fields.flatMap(({ name, value }) => [name, value])].join("");
      doesNotMatch(text, /[\0\r\n\x7f]/);
    }
    return isForNode(whole, random) ? compareWithNode(bytes, whole) : undefined;
  },
};

function isForNode({ requests, state }: ReadStream, random: RandomNumber): boolean {
  return requests.some(({ isWhole }) => isWhole) && state !== "switching" && random(NODE_EVERY) === 0;
}

async function compareWithNode(bytes: Buffer, stream: ReadStream): Promise<void> {
  const { messages, error } = await readRequestsWithNode(bytes);
  const read = messages.filter(({ isWhole }) => isWhole);
  const passed = wholeRequests(stream);
  same(passed.slice(0, read.length), read.slice(0, passed.length));
  if (isNarrower(error, bytes.toString("latin1"))) return;
  ok(read.length >= passed.length, `Node sees ${read.length} of ${passed.length} requests: ${error}`);
}

/** Node also wants the grammar of chunk extensions, which the gate drops, and no tab behind a coding, which it cuts. */
function isNarrower(error: string | undefined, text: string): boolean {
  if (error === "HPE_STRICT") return /^[0-9a-f]+;/im.test(text);
  if (error === "HPE_INVALID_TRANSFER_ENCODING") return /chunked *\t/.test(text);
  return error !== undefined && NARROWER_IN_NODE.has(error);
}

function wholeRequests({ requests }: ReadStream): readonly object[] {
  return requests
    .filter(({ isWhole }) => isWhole)
    .map(({ head, body }) => ({
      line: `${head.method} ${head.target} 1.${head.minorVersion}`,
      fields: head.fields.flatMap(({ name, value }) => [name, value]),
      body,
      isWhole: true,
    }));
}
