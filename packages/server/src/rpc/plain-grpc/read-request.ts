import type { Http2ServerRequest } from "node:http2";
import { type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { transformSplitEnvelope } from "@connectrpc/connect/protocol";
import { Problem } from "@gatehouse/core";

/** How messages of a call are read: what they are, and how large one may be. */
export interface ReadOptions {
  readonly schema: DescMessage;
  readonly maxBytes: number;
}

const PREFIX_BYTES = 5;

/** The messages of a stream, as they come. Fails with `api.malformed`, or as the library does for what is too large. */
export async function* readMessages(request: Http2ServerRequest, { schema, maxBytes }: ReadOptions) {
  // The answer still goes out when nobody reads on.
  const chunks: AsyncIterable<Uint8Array> = request.iterator({ destroyOnReturn: false });
  for await (const { flags, data } of transformSplitEnvelope(maxBytes)(chunks)) yield parse(schema, flags, data);
}

/** The one message of a call. Fails as the former, and for fewer or more. */
export async function readOne(request: Http2ServerRequest, { schema, maxBytes }: ReadOptions): Promise<Message> {
  const body = await readBody(request, PREFIX_BYTES + maxBytes);
  if (body.length < PREFIX_BYTES || body.length !== PREFIX_BYTES + body.readUInt32BE(1)) {
    throw new Problem("api.malformed", { detail: "The call is not one message." });
  }
  return parse(schema, body[0] ?? 0, body.subarray(PREFIX_BYTES));
}

/** The same for a method whose messages are a stream by its type: read when somebody asks for it. */
export async function* readOnce(request: Http2ServerRequest, options: ReadOptions) {
  yield await readOne(request, options);
}

function readBody(request: Http2ServerRequest, maxBytes: number): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  let body: Buffer = Buffer.alloc(0);
  let bytes = 0;
  const onData = (chunk: Buffer) => {
    if (bytes + chunk.length > maxBytes) {
      request.off("data", onData);
      return reject(new ConnectError("message is larger than allowed", Code.ResourceExhausted));
    }
    body = append(body, bytes, chunk);
    bytes += chunk.length;
  };
  request.on("data", onData);
  request.once("end", () => resolve(body.subarray(0, bytes)));
  request.once("close", () => reject(new Problem("api.malformed", { detail: "The call was cut off." })));
  return promise;
}

/** A chunk is a frame, and may be a byte: kept as they come, they would take some two hundred times what they hold. */
function append(body: Buffer, bytes: number, chunk: Buffer): Buffer {
  if (bytes === 0) return chunk;
  const needed = bytes + chunk.length;
  const whole = needed <= body.length ? body : Buffer.concat([body], Math.max(needed, 2 * bytes));
  whole.set(chunk, bytes);
  return whole;
}

function parse(schema: DescMessage, flags: number, data: Uint8Array): Message {
  if (flags !== 0) throw new Problem("api.malformed", { detail: "A message is compressed." });
  try {
    return fromBinary(schema, data);
  } catch (cause) {
    throw new Problem("api.malformed", { detail: "A message cannot be read.", cause });
  }
}
