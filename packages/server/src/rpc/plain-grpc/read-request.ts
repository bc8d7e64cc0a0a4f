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
  const chunks: Buffer[] = [];
  let bytes = 0;
  const onData = (chunk: Buffer) => {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes <= maxBytes) return;
    request.off("data", onData);
    reject(new ConnectError("message is larger than allowed", Code.ResourceExhausted));
  };
  request.on("data", onData);
  request.once("end", () => resolve(Buffer.concat(chunks)));
  request.once("close", () => reject(new Problem("api.malformed", { detail: "The call was cut off." })));
  return promise;
}

function parse(schema: DescMessage, flags: number, data: Uint8Array): Message {
  if (flags !== 0) throw new Problem("api.malformed", { detail: "A message is compressed." });
  try {
    return fromBinary(schema, data);
  } catch (cause) {
    throw new Problem("api.malformed", { detail: "A message cannot be read.", cause });
  }
}
