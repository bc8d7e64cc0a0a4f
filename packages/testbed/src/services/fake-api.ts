import type { IncomingMessage, ServerResponse } from "node:http";
import {
  type ListeningHandle,
  type LoopbackPlace,
  type LoopbackServer,
  openLoopbackServer,
  readBody,
} from "./loopback-server.ts";
import type { TestAuthority } from "./test-authority.ts";

/** One request as it arrived. */
export interface ReceivedRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case; a name that came twice is joined by `, `. */
  readonly headers: Readonly<Record<string, string>>;
  /** Names and values in turn, spelled and ordered as they came. */
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

/** Answers a request that carried the right value. Returning `false` leaves it to the echo. */
export type Respond = (received: ReceivedRequest, response: ServerResponse) => boolean | undefined;

export interface FakeApiOptions {
  /** Without one the service speaks cleartext HTTP. */
  readonly authority?: TestAuthority;
  /** Where the credential must stand; default `authorization`. */
  readonly header?: string;
  /** The header's whole value; any other gets 401. Absent: everybody is let in. */
  readonly expects?: string;
  readonly respond?: Respond;
  readonly at?: LoopbackPlace | ListeningHandle | undefined;
}

/** An outside HTTP API. */
export interface FakeApi extends LoopbackServer {
  /** Everything that arrived, refused or not, in order. */
  readonly requests: readonly ReceivedRequest[];
}

/** Opens an API that answers 401 without the expected value, else 200 with JSON of what it received. */
export async function openFakeApi(options: FakeApiOptions = {}): Promise<FakeApi> {
  const requests: ReceivedRequest[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const received = await receive(request);
    requests.push(received);
    if (!isAuthorised(received, options)) {
      // Some clients take an answer without a challenge for broken (RFC 9110 §11.6.1).
      response.setHeader("www-authenticate", 'Bearer realm="fake"');
      return sendJson(response, 401, { error: "unauthorised" });
    }
    if (options.respond?.(received, response)) return;
    sendJson(response, 200, received);
  };
  const server = await openLoopbackServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  }, options);
  return {
    get port() {
      return server.port;
    },
    get connections() {
      return server.connections;
    },
    requests,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function receive(request: IncomingMessage): Promise<ReceivedRequest> {
  const { method = "", url = "", rawHeaders } = request;
  const headers = Object.entries(request.headers).map(([name, value]) => [name, String(value)]);
  return { method, url, headers: Object.fromEntries(headers), rawHeaders, body: (await readBody(request)).toString() };
}

function isAuthorised({ headers }: ReceivedRequest, { header = "authorization", expects }: FakeApiOptions): boolean {
  return expects === undefined || headers[header] === expects;
}

/** Answers with JSON, its length stated. */
export function sendJson(response: ServerResponse, status: number, body: unknown): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) });
  response.end(text);
}
