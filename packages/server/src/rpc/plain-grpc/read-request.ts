import type { Http2ServerRequest } from "node:http2";
import { type BinaryReadOptions, type DescMessage, fromBinary, type Message } from "@bufbuild/protobuf";
import { Problem } from "@gatehouse/core";
import { type ArrivalBounds, PREFIX_BYTES, readBody } from "../read-body.ts";
import { ArrivingMessages } from "./arriving-messages.ts";

/** How messages of a call are read: what they are, and what they may take. */
export interface ReadOptions extends ArrivalBounds {
  readonly schema: DescMessage;
  readonly readOptions: Partial<BinaryReadOptions>;
}

/** The messages of a stream, as they come. Fails with `api.malformed`, or as the library does for what is too large. */
export function readMessages(request: Http2ServerRequest, options: ReadOptions): AsyncIterable<Message> {
  return new ArrivingMessages(request, options, (envelope) => parse(options, envelope));
}

/** The one message of a call. Fails as the former, and for fewer or more. */
export async function readOne(request: Http2ServerRequest, options: ReadOptions): Promise<Message> {
  const body = await readBody(request, options);
  if (body.length < PREFIX_BYTES || body.length !== PREFIX_BYTES + body.readUInt32BE(1)) {
    throw new Problem("api.malformed", { detail: "The call is not one message." });
  }
  return parse(options, body);
}

/** The same for a method whose messages are a stream by its type: read when somebody asks for it. */
export async function* readOnce(request: Http2ServerRequest, options: ReadOptions) {
  yield await readOne(request, options);
}

function parse({ schema, readOptions }: ReadOptions, envelope: Buffer): Message {
  if (envelope[0] !== 0) throw new Problem("api.malformed", { detail: "A message is compressed." });
  try {
    return fromBinary(schema, envelope.subarray(PREFIX_BYTES), readOptions);
  } catch (cause) {
    throw new Problem("api.malformed", { detail: "A message cannot be read.", cause });
  }
}
