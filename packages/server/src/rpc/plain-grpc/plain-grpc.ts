import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
import type { BinaryReadOptions } from "@bufbuild/protobuf";
import {
  Code,
  ConnectError,
  type ContextValues,
  type Interceptor,
  type StreamRequest,
  type StreamResponse,
  type UnaryRequest,
  type UnaryResponse,
} from "@connectrpc/connect";
import { setTrailerStatus } from "@connectrpc/connect/protocol-grpc";
import type { Held } from "../../limits/held-bytes.ts";
import { toConnectError } from "../problem-error.ts";
import type { PlainMethod } from "./plain-method.ts";
import { readMessages, readOnce, readOne } from "./read-request.ts";
import { endResponse, GRPC_TYPE, type WriteOptions, writeMessage, writeMessages } from "./write-response.ts";

export interface PlainOptions {
  /** The outermost first; the same that all other calls go through. */
  readonly interceptors: readonly Interceptor[];
  readonly contextValues: (request: Http2ServerRequest) => ContextValues;
  readonly maxMessageBytes: number;
  /** Of a call that is one message: it is read before anybody is asked who they are. */
  readonly maxUnknownBytes: number;
  readonly readOptions: Partial<BinaryReadOptions>;
  readonly signal: AbortSignal;
}

const PLAIN_TYPES: ReadonlySet<string> = new Set(["application/grpc", "application/grpc+proto"]);
const TIMEOUT = /^[0-9]{1,8}[HMSmun]$/;
/** One for all: a reason of its own for each call that ends would cost as much as a small call. */
const GONE = new ConnectError("the call is over", Code.Canceled);

/**
 * Answers gRPC over HTTP/2 in its simplest form (binary, nothing compressed by the caller) for methods that nodes call
 * by the thousand; `undefined` for every other call, which the library answers. It holds a dozen chained iterators for
 * each call: two thirds of what a connected node cost in memory, and a fifth of the time of a small call. A deadline is
 * the caller's to keep: none of these methods waits for anything but the store, and a caller who left is noticed.
 */
export function plainGrpc(methods: readonly PlainMethod[], options: PlainOptions) {
  const byPath = new Map(
    methods.map((one) => [`/${one.method.parent.typeName}/${one.method.name}`, serve(one, options)]),
  );
  return (request: Http2ServerRequest): PlainHandle | undefined =>
    isPlain(request) ? byPath.get(request.url) : undefined;
}

function isPlain({ httpVersionMajor, method, headers }: Http2ServerRequest): boolean {
  const { "content-type": type = "", "grpc-encoding": encoding = "identity", "grpc-timeout": timeout } = headers;
  const isTimeoutFit = timeout === undefined || TIMEOUT.test(String(timeout));
  return (
    httpVersionMajor === 2 && method === "POST" && PLAIN_TYPES.has(type) && encoding === "identity" && isTimeoutFit
  );
}

type PlainHandle = (request: Http2ServerRequest, response: Http2ServerResponse, held: Held) => void;

function serve(plain: PlainMethod, options: PlainOptions): PlainHandle {
  const open = new Set<AbortController>();
  // One listener for all: a signal looks at every one that it has whenever another call adds its own.
  options.signal.addEventListener("abort", () => {
    for (const gone of open) gone.abort(options.signal.reason);
  });
  const own = { ...options, call: invoke(plain, options) };
  return (request, response, held) => {
    // Whoever breaks the connection is told nothing more.
    response.on("error", () => undefined);
    request.on("error", () => undefined);
    const gone = new AbortController();
    open.add(gone);
    request.on("close", () => gone.abort(GONE));
    if (options.signal.aborted) gone.abort(options.signal.reason);
    const exchange = { request, response, held, signal: gone.signal };
    void answer(plain, own, exchange).finally(() => open.delete(gone));
  };
}

type Call = ReturnType<Interceptor>;

interface Exchange {
  readonly request: Http2ServerRequest;
  readonly response: Http2ServerResponse;
  readonly held: Held;
  /** Aborts when the caller has gone, or the server closes. */
  readonly signal: AbortSignal;
}

type Calling = PlainOptions & { readonly call: Call };

async function answer(plain: PlainMethod, options: Calling, exchange: Exchange): Promise<void> {
  const { request, response } = exchange;
  let failure: ConnectError | undefined;
  try {
    const begun = await begin(plain, options, exchange);
    if ("messages" in begun) await writeMessages(begun.messages, begun.write, response);
    else await writeMessage(begun.message, begun.write, response);
  } catch (thrown) {
    // Failures of the call come as what may be told; whatever else is thrown is nobody's business.
    failure = toConnectError(thrown);
  }
  const trailer = new Headers({ "grpc-status": "0" });
  if (failure !== undefined) setTrailerStatus(trailer, failure);
  endResponse(request, response, trailer);
}

type Begun = { readonly write: WriteOptions } & (
  | { readonly message: object }
  | { readonly messages: AsyncIterable<object> }
);

/** Makes the call. Of what was asked and answered a stream keeps no more than this for as long as it stays open. */
async function begin(plain: PlainMethod, options: Calling, exchange: Exchange): Promise<Begun> {
  const answered = await options.call(await openRequest(plain, options, exchange));
  const isGzipped = takesGzip(plain, exchange.request);
  const encoding = isGzipped ? { "grpc-encoding": "gzip" } : {};
  const head = { ...Object.fromEntries(answered.header), ...encoding, "content-type": GRPC_TYPE };
  const write = { schema: plain.method.output, head, maxBytes: options.maxMessageBytes, isGzipped };
  return answered.stream ? { write, messages: answered.message } : { write, message: answered.message };
}

/** A stream that stays open says little, and would hold a compressor's memory. */
function takesGzip({ method }: PlainMethod, { headers }: Http2ServerRequest): boolean {
  const accepted = String(headers["grpc-accept-encoding"] ?? "");
  return method.methodKind === "server_streaming" && accepted.split(",").some((name) => name.trim() === "gzip");
}

function invoke(plain: PlainMethod, { interceptors }: PlainOptions): Call {
  const innermost: Call = async (request) => {
    const { contextValues: values, signal } = request;
    const own = { header: new Headers(), trailer: new Headers(), method: plain.method, service: plain.method.parent };
    if (plain.isStream) {
      const message = plain.answer((request as StreamRequest).message, { values, signal });
      return { ...own, stream: true, message } as StreamResponse;
    }
    const message = await plain.answer((request as UnaryRequest).message, { values, signal });
    return { ...own, stream: false, message } as UnaryResponse;
  };
  return interceptors.reduceRight((next, interceptor) => interceptor(next), innermost);
}

async function openRequest(
  { method, isStream }: PlainMethod,
  { contextValues, maxMessageBytes, maxUnknownBytes, readOptions }: PlainOptions,
  { request, held, signal }: Omit<Exchange, "response">,
): Promise<StreamRequest | UnaryRequest> {
  const header = headersOf(request.headers);
  const read = { schema: method.input, readOptions, held, maxBytes: isStream ? maxMessageBytes : maxUnknownBytes };
  const own = { service: method.parent, method, requestMethod: "POST", url: request.url, header, signal } as const;
  const call = { ...own, contextValues: contextValues(request) };
  if (!isStream) return { ...call, stream: false, message: await readOne(request, read) } as UnaryRequest;
  const messages = method.methodKind === "bidi_streaming" ? readMessages(request, read) : readOnce(request, read);
  return { ...call, stream: true, message: messages } as StreamRequest;
}

/** What HTTP/2 itself needs is none of them. */
export function headersOf(headers: Http2ServerRequest["headers"]): Headers {
  const all = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    if (!name.startsWith(":") && value !== undefined) all.set(name, [value].flat().join(", "));
  }
  return all;
}
