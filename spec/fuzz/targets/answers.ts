import { deepStrictEqual as same } from "node:assert";
import { encodeChunk, encodeLastChunk, serialiseResponseHead } from "../../../packages/gate/src/http1/serialise.ts";
import { mutate } from "../../../packages/gate/test/http1/mutate.ts";
import { readResponseWithNode } from "../../../packages/gate/test/http1/node-reading.ts";
import { cutAt } from "../../../packages/gate/test/http1/read-requests.ts";
import { type ReadResponse, readResponse } from "../../../packages/gate/test/http1/read-response.ts";
import { RESPONSES } from "../../../packages/gate/test/http1/responses.ts";
import type { FuzzTarget } from "../fuzz-target.ts";

const MAX_BYTES = 2_048;
const corpus = RESPONSES.map(({ bytes }) => Buffer.from(bytes, "latin1")).filter(
  ({ length }) => length > 0 && length < MAX_BYTES,
);
const NODE_EVERY = 8;

/** Answers to one request: read alike however they are split, and by Node where the gate sees a whole one. */
export const target: FuzzTarget = {
  corpus,
  generate: (random) => mutate(corpus, random),
  check: (bytes, random) => {
    const method = random(5) === 0 ? "HEAD" : "GET";
    const whole = readResponse([bytes], method);
    const places = Array.from({ length: random(6) }, () => random(bytes.length + 1));
    same(readResponse(cutAt(bytes, places), method), whole);
    const isForNode = whole.state === "complete" && whole.head !== undefined && random(NODE_EVERY) === 0;
    return isForNode ? compareWithNode(whole, method) : undefined;
  },
};

/** As it is written again, and read by the next client. */
async function compareWithNode({ head, body, trailers }: ReadResponse, method: string): Promise<void> {
  if (head === undefined) return;
  const { status, reason, fields, framing } = head;
  const data = Buffer.from(body, "latin1");
  const written = framing.kind === "chunked" ? [...encodeChunk(data), encodeLastChunk(trailers)] : [data];
  const { messages, error } = await readResponseWithNode(
    Buffer.concat([serialiseResponseHead(head), ...written]),
    method,
  );
  same(
    { messages, error },
    {
      messages: [
        {
          line: `1.1 ${status} ${reason}`,
          fields: fields.flatMap(({ name, value }) => [name, value]),
          body,
          isWhole: true,
        },
      ],
      error: undefined,
    },
  );
}
