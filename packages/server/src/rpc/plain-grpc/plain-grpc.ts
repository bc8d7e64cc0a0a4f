import type { Http2ServerRequest, Http2ServerResponse } from "node:http2";
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
import { endResponse, writeMessage, writeMessages } from "./write-response.ts";

export interface PlainOptions {
  /** The outermost first; the same that all other calls go through. */
  readonly interceptors: readonly Interceptor[];
  readonly contextValues: (request: Http2ServerRequest) => ContextValues;
  readonly maxMessageBytes: number;
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
  const call = invoke(plain, options);
  return (request, response, held) => {
    // Whoever breaks the connection is told nothing more.
    response.on("error", () => undefined);
    request.on("error", () => undefined);
    const gone = new AbortController();
    open.add(gone);
    request.once("close", () => gone.abort(GONE));
    if (options.signal.aborted) gone.abort(options.signal.reason);
    const exchange = { request, response, held, signal: gone.signal };
    void answer(plain, { ...options, call }, exchange).finally(() => open.delete(gone));
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

async function answer(plain: PlainMethod, options: PlainOptions & { readonly call: Call }, exchange: Exchange) {
  const { request, response } = exchange;
  const { call, maxMessageBytes: maxBytes } = options;
  const trailer = new Headers({ "grpc-status": "0" });
  try {
    const answered = await call(await openRequest(plain, options, exchange));
    const { header } = answered;
    const own = { schema: plain.method.output, header, maxBytes, isGzipped: takesGzip(plain, request) };
    if (answered.stream) await writeMessages(answered.message, own, response);
    else await writeMessage(answered.message, own, response);
  } catch (failure) {
    // Failures of the call come as what may be told; whatever else is thrown is nobody's business.
    setTrailerStatus(trailer, toConnectError(failure));
  }
  endResponse(request, response, trailer);
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
  { contextValues, maxMessageBytes: maxBytes }: PlainOptions,
  { request, held, signal }: Omit<Exchange, "response">,
): Promise<StreamRequest | UnaryRequest> {
  const header = new Headers();
  for (const [name, value] of Object.entries(request.headers)) {
    if (!name.startsWith(":") && value !== undefined) header.set(name, [value].flat().join(", "));
  }
  const read = { schema: method.input, maxBytes, held };
  const own = { service: method.parent, method, requestMethod: "POST", url: request.url, header, signal } as const;
  const call = { ...own, contextValues: contextValues(request) };
  if (!isStream) return { ...call, stream: false, message: await readOne(request, read) } as UnaryRequest;
  const messages = method.methodKind === "bidi_streaming" ? readMessages(request, read) : readOnce(request, read);
  return { ...call, stream: true, message: messages } as StreamRequest;
}
