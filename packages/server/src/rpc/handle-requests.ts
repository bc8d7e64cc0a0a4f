import type { Http2ServerRequest } from "node:http2";
import type { DescMethod } from "@bufbuild/protobuf";
import { type ConnectRouter, createContextValues, type ServiceImpl } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { PROBLEMS, toProblem } from "@gatehouse/core";
import type { HealthReport } from "@gatehouse/kit";
import { SERVICES, type ServiceName } from "@gatehouse/wire";
import type { ServerCounters } from "../metrics.ts";
import { answerWellKnown } from "../orgs/well-known.ts";
import type { SignInConfig } from "../people/sign-in-config.ts";
import type { ServerContext } from "../server-context.ts";
import { peopleRoutes } from "../web/people-routes.ts";
import { type AdmitDeps, admit, admitCalls } from "./admit-calls.ts";
import { ANSWER_COMPRESSION, nameTakenEncoding } from "./answer-compression.ts";
import { authenticate, recogniseMember } from "./authenticate.ts";
import { KEEP_PEER, PEER_ADDRESS } from "./caller.ts";
import { checkMessages } from "./check-messages.ts";
import { logCalls } from "./log-calls.ts";
import { boundArrival, boundTaking, type Handle, type Listener } from "./open-listener.ts";
import { headersOf, plainGrpc } from "./plain-grpc/plain-grpc.ts";
import { type ArrivalBounds, readBody, readEnvelopes } from "./read-body.ts";
import { auditAdminService } from "./services/audit-admin-service.ts";
import { credentialAdminService } from "./services/credential-admin-service.ts";
import { gatewayService } from "./services/gateway-service.ts";
import { healthService } from "./services/health-service.ts";
import { nodeAdminService } from "./services/node-admin-service.ts";
import { orgAdminService } from "./services/org-admin-service.ts";
import { plainMethods } from "./services/plain-methods.ts";
import { policyAdminService } from "./services/policy-admin-service.ts";
import { reflectionService } from "./services/reflection-service.ts";

export interface HandleOptions {
  /** SHA-256 of the SPKI of the TLS leaf. */
  readonly tlsSpkiSha256: Uint8Array;
  readonly health: () => Promise<HealthReport>;
  /** Where people sign in at a provider; absent: nowhere. */
  readonly provider: SignInConfig | undefined;
  readonly counters: ServerCounters;
  readonly admission: AdmitDeps;
  readonly listener: Pick<Listener, "keep" | "hold" | "isKnown">;
  /** Aborts when the server closes: streams end then. */
  readonly signal: AbortSignal;
}

/** No message is larger; streams carry many. */
const MAX_MESSAGE_BYTES = 4 * 1_048_576;
/** Of who is not known yet: a parsed message takes many times its bytes, and is there before anybody is asked who they are. */
const MAX_UNKNOWN_BYTES = 524_288;
/** What no field reads is skipped. */
const READ_OPTIONS = { readUnknownFields: false } as const;
/** Paths of calls whose request is a stream, and of those whose answer is one. */
const STREAMED_IN = pathsOf("client_streaming", "bidi_streaming");
const STREAMED_OUT = pathsOf("server_streaming", "bidi_streaming");

/** Everything that the server answers: RPCs, the well-known document, health. What is not there is 404. */
export function handleRequests(server: ServerContext, options: HandleOptions): Handle {
  const { store, keys, clock, origin } = server;
  const now = () => clock.now();
  const answerCall = handleCalls(server, options);
  const plain: Readonly<Record<string, (url: URL, address: string) => Promise<PlainAnswer>>> = {
    "/.well-known/gatehouse": async (url, address) => {
      const own = { store, keys, origin, now, tlsSpkiSha256: options.tlsSpkiSha256 };
      const answer = () => answerWellKnown(url.searchParams, own);
      return { status: 200, body: await admit(options.admission, address, answer) };
    },
    "/livez": async () => ({ status: 200, body: { status: "ok" } }),
    // However often anybody asks, what it takes to know is looked at once in two seconds.
    "/readyz": () => reportHealth(options),
    "/healthz": () => reportHealth(options),
  };
  const people = peopleRoutes(server, options.provider);
  return answerAll((request, response) => {
    // Not everything that may stand in a request line can be read as a URL: `//` cannot.
    if (!URL.canParse(request.url, origin)) return answerUnknownPath(response);
    const url = new URL(request.url, origin);
    boundTimes(url.pathname, request, response);
    const forPeople = people(request.method, url.pathname);
    if (forPeople !== undefined) return forPeople(request, response);
    const answer = Object.hasOwn(plain, url.pathname) ? plain[url.pathname] : undefined;
    if (answer === undefined || request.method !== "GET") return answerCall(request, response);
    void answer(url, request.socket.remoteAddress ?? "")
      .catch(asProblem)
      .then(({ status, body }) => {
        response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
        response.end(JSON.stringify(body));
      });
  });
}

/** Answers RPCs: those that a fleet calls at once by ourselves, the others by the library. */
function handleCalls(server: ServerContext, options: HandleOptions): Handle {
  const { store, keys, log, clock, origin } = server;
  const now = () => clock.now();
  const known = { store, origin, now, macKey: keys.macKey };
  const interceptors = [
    logCalls({ log, clock, counters: options.counters }),
    admitCalls(options.admission),
    authenticate(known),
    checkMessages(server.check),
  ];
  const contextValues = ({ socket }: Pick<Http2ServerRequest, "socket">) =>
    createContextValues()
      .set(PEER_ADDRESS, socket.remoteAddress ?? "")
      .set(KEEP_PEER, (who) => options.listener.keep(socket, who));
  const plainCalls = plainGrpc(plainMethods(server), {
    interceptors,
    contextValues,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    maxUnknownBytes: MAX_UNKNOWN_BYTES,
    readOptions: READ_OPTIONS,
    signal: options.signal,
  });
  const adapter = connectNodeAdapter({
    routes: (router) => addServices(router, server, options),
    interceptors,
    contextValues,
    binaryOptions: READ_OPTIONS,
    acceptCompression: [ANSWER_COMPRESSION],
    readMaxBytes: MAX_MESSAGE_BYTES,
    writeMaxBytes: MAX_MESSAGE_BYTES,
    shutdownSignal: options.signal,
    fallback: (_request, response) => answerUnknownPath(response),
  });
  const boundsOf = ({ socket, headers }: Http2ServerRequest) => {
    if (options.listener.isKnown(socket)) return { maxBytes: MAX_MESSAGE_BYTES };
    const widen = async () => {
      const { memberId } = await recogniseMember(headersOf(headers), known);
      options.listener.keep(socket, memberId);
      return MAX_MESSAGE_BYTES;
    };
    return { maxBytes: MAX_UNKNOWN_BYTES, widen };
  };
  return (request, response) => {
    const held = options.listener.hold(request);
    response.on("close", () => held.release());
    const plainCall = plainCalls(request);
    if (plainCall !== undefined) return plainCall(request, response, held);
    readWhole(request, { held, ...boundsOf(request) });
    nameTakenEncoding(request, response);
    return adapter(request, response);
  };
}

/** The library reads a request by its iterator, and would keep each frame as it came. */
function readWhole(request: Http2ServerRequest, bounds: ArrivalBounds): void {
  const isStream = STREAMED_IN.has(request.url.split("?", 1)[0] ?? "");
  // Whose stream it is, is known before its first message is read.
  const ofStream = { ...bounds, maxBytes: MAX_MESSAGE_BYTES };
  const read = isStream ? readEnvelopes(request.iterator(), ofStream) : bodyOf(request, bounds);
  Object.defineProperty(request, Symbol.asyncIterator, { value: () => read });
}

async function* bodyOf(request: Http2ServerRequest, bounds: ArrivalBounds): AsyncGenerator<Buffer> {
  const body = await readBody(request, bounds);
  if (body.length > 0) yield body;
}

function boundTimes(path: string, ...call: Parameters<Handle>): void {
  if (!STREAMED_IN.has(path)) boundArrival(...call);
  if (!STREAMED_OUT.has(path)) boundTaking(...call);
}

function pathsOf(...kinds: readonly DescMethod["methodKind"][]): ReadonlySet<string> {
  return new Set(
    Object.values(SERVICES)
      .flatMap(({ typeName, methods }) => methods.map((method) => ({ typeName, ...method })))
      .filter(({ methodKind }) => kinds.includes(methodKind))
      .map(({ typeName, name }) => `/${typeName}/${name}`),
  );
}

/**
 * What cannot even be begun is malformed: anybody may send any text for an authority, or no host at all, and the library
 * that reads RPCs throws at it. Nothing that is thrown here may reach the process.
 */
function answerAll(handle: Handle): Handle {
  return (request, response) => {
    try {
      handle(request, response);
    } catch {
      response.writeHead(400).end();
    }
  };
}

/** The part of a response, over either version of HTTP, that a plain answer needs. */
interface PlainResponse {
  writeHead(status: number, headers: Readonly<Record<string, string>>): unknown;
  end(body: string): unknown;
}

function answerUnknownPath(response: PlainResponse): void {
  response.writeHead(404, { "content-type": "application/problem+json" });
  response.end(JSON.stringify({ code: "api.unknown_path", status: 404, title: PROBLEMS["api.unknown_path"].say }));
}

interface PlainAnswer {
  readonly status: number;
  readonly body: object;
}

function asProblem(failure: unknown): PlainAnswer {
  const { code, message, row } = toProblem(failure);
  return { status: row.http, body: { type: "about:blank", title: message, status: row.http, code } };
}

async function reportHealth({ health }: HandleOptions): Promise<PlainAnswer> {
  const report = await health();
  return { status: report.status === "ok" ? 200 : 503, body: report };
}

type Services = { readonly [S in ServiceName]: ServiceImpl<(typeof SERVICES)[S]> };

/** A service or an RPC that is missing here is a type error. */
function addServices(router: ConnectRouter, server: ServerContext, { health }: HandleOptions): void {
  const services: Services = {
    "gatehouse.gateway.v1.NodeGatewayService": gatewayService(server),
    "gatehouse.admin.v1.OrgAdminService": orgAdminService(server),
    "gatehouse.admin.v1.NodeAdminService": nodeAdminService(server),
    "gatehouse.admin.v1.CredentialAdminService": credentialAdminService(server),
    "gatehouse.admin.v1.PolicyAdminService": policyAdminService(server),
    "gatehouse.admin.v1.AuditAdminService": auditAdminService(server),
    "grpc.health.v1.Health": healthService(health),
    "grpc.reflection.v1.ServerReflection": reflectionService(server),
  };
  for (const name of Object.keys(SERVICES) as ServiceName[]) router.service(SERVICES[name], services[name]);
}
