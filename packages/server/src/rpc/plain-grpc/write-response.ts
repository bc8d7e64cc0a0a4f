import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { create, type DescMessage, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { encodeEnvelope } from "@connectrpc/connect/protocol";

export interface WriteOptions {
  readonly schema: DescMessage;
  /** What belongs in the head, which goes out with the first message. */
  readonly head: Readonly<Record<string, string>>;
  readonly maxBytes: number;
  /** The caller takes large messages compressed; the head says so. */
  readonly isGzipped: boolean;
}

export const GRPC_TYPE = "application/grpc+proto";
/** Smaller messages gain nothing. */
const GZIP_FROM_BYTES = 1_024;
const compress = promisify(gzip);

/** Writes messages as they come, no faster than they are taken, until the caller has gone. */
export async function writeMessages(
  messages: AsyncIterable<object>,
  options: WriteOptions,
  response: Http2ServerResponse,
): Promise<void> {
  for await (const message of messages) {
    await writeMessage(message, options, response);
    if (isGone(response)) return;
  }
}

export async function writeMessage(
  message: object,
  { schema, head, maxBytes, isGzipped }: WriteOptions,
  response: Http2ServerResponse,
): Promise<void> {
  const bytes = toBinary(schema, create(schema, message as never));
  if (bytes.length > maxBytes) throw new ConnectError("message is larger than allowed", Code.ResourceExhausted);
  if (!response.headersSent) response.writeHead(200, head);
  const isLarge = isGzipped && bytes.length >= GZIP_FROM_BYTES;
  const envelope = isLarge ? encodeEnvelope(1, await compress(bytes)) : encodeEnvelope(0, bytes);
  if (!isGone(response) && !response.write(envelope)) await drained(response);
}

/** Says how the call ended. */
export function endResponse(request: Http2ServerRequest, response: Http2ServerResponse, trailer: Headers): void {
  if (isGone(response)) return;
  if (!response.headersSent) response.writeHead(200, { "content-type": GRPC_TYPE });
  response.addTrailers(Object.fromEntries(trailer));
  response.end();
  // What the caller still sends is let go of: a stream is over when both its halves are. One of which nothing was read is
  // closed by Node itself, but only while nobody begins to.
  request.removeAllListeners("data");
  if (request.readableDidRead) request.resume();
}

function isGone({ stream }: Http2ServerResponse): boolean {
  return stream?.destroyed ?? true;
}

function drained(response: Http2ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off("drain", done);
      response.off("close", done);
      resolve();
    };
    response.once("drain", done);
    response.once("close", done);
    if (isGone(response)) done();
  });
}
