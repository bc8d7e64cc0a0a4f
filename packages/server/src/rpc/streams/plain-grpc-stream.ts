import { constants, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import { type DescMethodBiDiStreaming, fromBinary, type Message, toBinary } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
} from "@connectrpc/connect";
import { encodeEnvelope, transformSplitEnvelope } from "@connectrpc/connect/protocol";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import { Problem } from "@gatehouse/core";
import type { Handle } from "../open-listener.ts";

/** A bidirectional method, and what answers it. */
export interface PlainStream {
  readonly method: DescMethodBiDiStreaming;
  /** Messages are of the method's own types. */
  serve(messages: AsyncIterable<Message>, call: PlainCall): AsyncIterable<Message>;
}

export interface PlainCall {
  readonly values: ContextValues;
  /** Aborts when the caller has gone, or the server closes. */
  readonly signal: AbortSignal;
}

export interface PlainStreamOptions {
  /** The outermost first; the same that all other calls go through. */
  readonly interceptors: readonly Interceptor[];
  readonly contextValues: (request: Http2ServerRequest) => ContextValues;
  readonly maxMessageBytes: number;
  readonly signal: AbortSignal;
}

const CONTENT_TYPE = "application/grpc+proto";
const PLAIN_TYPES: ReadonlySet<string> = new Set(["application/grpc", CONTENT_TYPE]);

/** Whether a call is gRPC over HTTP/2 in its simplest form: binary, without compression, without a deadline. */
export function isPlainGrpc({ httpVersionMajor, method, headers }: Http2ServerRequest): boolean {
  const { "content-type": type = "", "grpc-encoding": encoding = "identity", "grpc-timeout": timeout } = headers;
  return httpVersionMajor === 2 && method === "POST" && PLAIN_TYPES.has(type) && encoding === "identity" && !timeout;
}

/**
 * Answers plain gRPC calls of a method whose streams stay open by the thousand. The library answers all others: it holds
 * a dozen chained iterators for each open stream, which were two thirds of what a connected node cost in memory.
 */
export function plainGrpcStream(stream: PlainStream, options: PlainStreamOptions): Handle {
  const open = new Set<AbortController>();
  // One listener for all: a signal looks at every one that it has whenever another call adds its own.
  options.signal.addEventListener("abort", () => {
    for (const gone of open) gone.abort(options.signal.reason);
  });
  return (request, response) => {
    // Whoever breaks the connection is told nothing more.
    response.on("error", () => undefined);
    request.on("error", () => undefined);
    const gone = new AbortController();
    open.add(gone);
    request.once("close", () => gone.abort());
    if (options.signal.aborted) gone.abort(options.signal.reason);
    void answer(stream, options, { request, response, signal: gone.signal }).finally(() => open.delete(gone));
  };
}

interface Exchange {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
  /** Aborts when the caller has gone, or the server closes. */
  readonly signal: AbortSignal;
}

async function answer(stream: PlainStream, options: PlainStreamOptions, exchange: Exchange) {
  const { request, response, signal } = exchange;
  const trailer = new Headers({ "grpc-status": "0" });
  try {
    const call = invoke(stream, options);
    const opened = await call(openRequest(stream, options, { request, signal }));
    if (!opened.stream) throw new Error("a stream was answered with one message");
    await writeMessages(opened, stream.method, response);
  } catch (failure) {
    // Failures of the call come as what may be told; whatever else is thrown is nobody's business.
    setTrailerStatus(
      trailer,
      failure instanceof ConnectError ? failure : new ConnectError("internal error", Code.Internal),
    );
  }
  end(exchange, trailer);
}

function invoke(stream: PlainStream, { interceptors }: PlainStreamOptions): ReturnType<Interceptor> {
  const innermost: ReturnType<Interceptor> = async (request) => {
    const { contextValues: values, signal } = request;
    const message = stream.serve((request as StreamRequest).message, { values, signal });
    const parts = { header: new Headers(), trailer: new Headers(), message };
    const { method } = stream;
    return { stream: true, service: method.parent, method, ...parts } as StreamResponse;
  };
  return interceptors.reduceRight((next, interceptor) => interceptor(next), innermost);
}

function openRequest(
  { method }: PlainStream,
  { contextValues, maxMessageBytes }: PlainStreamOptions,
  { request, signal }: Pick<Exchange, "request" | "signal">,
): StreamRequest {
  const header = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (!name.startsWith(":") && value !== undefined) header.set(name, [value].flat().join(", "));
  }
  const message = readMessages(request, method, maxMessageBytes);
  const own = { stream: true, service: method.parent, method, requestMethod: "POST", url: request.url } as const;
  return { ...own, header, contextValues: contextValues(request), message, signal } as StreamRequest;
}

async function* readMessages(request: Http2ServerRequest, { input }: DescMethodBiDiStreaming, maxBytes: number) {
  // The answer still goes out when nobody reads on.
  const chunks: AsyncIterable<Uint8Array> = request.iterator({ destroyOnReturn: false });
  for await (const { flags, data } of transformSplitEnvelope(maxBytes)(chunks)) {
    if (flags !== 0) throw new Problem("api.malformed", { detail: "A message is compressed." });
    yield parse(input, data);
  }
}

function parse(schema: DescMethodBiDiStreaming["input"], data: Uint8Array): Message {
  try {
    return fromBinary(schema, data);
  } catch (cause) {
    throw new Problem("api.malformed", { detail: "A message cannot be read.", cause });
  }
}

async function writeMessages(
  { header, message: messages }: StreamResponse,
  { output }: DescMethodBiDiStreaming,
  response: Http2ServerResponse,
): Promise<void> {
  for await (const message of messages) {
    // What belongs in the head is known with the first message.
    if (!response.headersSent) response.writeHead(200, { ...Object.fromEntries(header), "content-type": CONTENT_TYPE });
    if (!response.write(encodeEnvelope(0, toBinary(output, message as never)))) await drained(response);
    if (isGone(response)) return;
  }
}

function end({ request, response }: Exchange, trailer: Headers): void {
  if (isGone(response)) return;
  if (!response.headersSent) response.writeHead(200, { "content-type": CONTENT_TYPE });
  response.addTrailers(Object.fromEntries(trailer));
  // A stream is over when both its halves are: a caller that could send on is told not to (RFC 9113, 8.1). Behind the
  // trailers: what closes a stream overtakes what it has yet to send.
  response.stream.once("wantTrailers", () => setImmediate(() => response.stream.close(constants.NGHTTP2_NO_ERROR)));
  response.end();
  request.resume();
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
