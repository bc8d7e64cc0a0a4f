import { createServer as createTcpServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { eventually, listenOnLoopback, type TestAuthority } from "@gatehouse/testbed";
import { ByteStream, type Message, readMessage } from "./byte-stream.ts";

/** What a test answers to a request; text is sent as it is. */
export type Answer = (request: Message, stream: ByteStream) => string | Buffer | undefined;

/** An outside service that does exactly what a test tells it, byte for byte. */
export interface RawOrigin extends AsyncDisposable {
  readonly port: number;
  /** TCP connections accepted, handshakes that failed included. */
  readonly connections: number;
  /** Requests that `answer` saw, in order. */
  readonly requests: readonly Message[];
  /** The next connection that was not accepted yet; for origins without `answer`. */
  accept(): Promise<ByteStream>;
}

/** Opens it, with TLS when an authority is given. Without `answer` nothing is read: `accept` gives the connections. */
export async function openRawOrigin(authority: TestAuthority | undefined, answer?: Answer): Promise<RawOrigin> {
  const requests: Message[] = [];
  const streams: ByteStream[] = [];
  const onConnection = (socket: Socket) => {
    const stream = new ByteStream(socket);
    if (answer === undefined) streams.push(stream);
    else serve(stream, answer, requests).catch(() => socket.destroy());
  };
  const server = authority === undefined ? createTcpServer() : createTlsServer(authority.serverOptions);
  server.on(authority === undefined ? "connection" : "secureConnection", onConnection);
  server.on("tlsClientError", () => undefined);
  const loopback = await listenOnLoopback(server);
  return {
    port: loopback.port,
    get connections() {
      return loopback.connections;
    },
    requests,
    accept: () => eventually("a connection at the origin", () => streams.shift()),
    [Symbol.asyncDispose]: () => loopback[Symbol.asyncDispose](),
  };
}

async function serve(stream: ByteStream, answer: Answer, requests: Message[]): Promise<void> {
  while (!stream.isClosed) {
    await eventually("a request", () => stream.unread.length > 0 || stream.isClosed, { timeoutMs: 60_000, everyMs: 2 });
    if (stream.isClosed) return;
    const request = await readMessage(stream);
    requests.push(request);
    const bytes = answer(request, stream);
    if (bytes !== undefined) stream.write(bytes);
  }
}

/** A response with its length stated. */
export function ok(body: string, fields: readonly string[] = []): string {
  return [`HTTP/1.1 200 OK`, `Content-Length: ${Buffer.byteLength(body)}`, ...fields, "", body].join("\r\n");
}
