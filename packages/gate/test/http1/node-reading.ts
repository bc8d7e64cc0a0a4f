import { createServer, type IncomingMessage, request } from "node:http";
import { type Duplex, duplexPair } from "node:stream";

const MAX_HEADER_BYTES = 128 * 1_024;

/** One message as Node's own parser (llhttp, strict) reads it. */
export interface NodeMessage {
  readonly line: string;
  /** Names and values in turn, as they came. */
  readonly fields: readonly string[];
  body: string;
  isWhole: boolean;
}

/** What Node makes of the bytes of a connection. */
export interface NodeReading {
  readonly messages: readonly NodeMessage[];
  /** The parser's error code, when it refused. */
  readonly error: string | undefined;
}

/** Reads requests with a Node server. */
export async function readRequestsWithNode(bytes: Buffer): Promise<NodeReading> {
  const messages: NodeMessage[] = [];
  let error: string | undefined;
  const server = createServer(
    { insecureHTTPParser: false, keepAliveTimeout: 0, maxHeaderSize: MAX_HEADER_BYTES },
    (incoming, outgoing) => {
      collect(incoming, `${incoming.method} ${incoming.url} ${incoming.httpVersion}`, messages);
      incoming.on("end", () => outgoing.end());
    },
  );
  server.on("clientError", (failure: NodeJS.ErrnoException, socket: Duplex) => {
    // Bytes behind a request that closes are nobody's: the requests before them stand.
    if (failure.code !== "HPE_CLOSED_CONNECTION") error = failure.code ?? failure.message;
    setImmediate(() => socket.destroy());
  });
  const [here, there] = duplexPair();
  const closed = Promise.withResolvers<void>();
  there.on("close", () => closed.resolve());
  server.emit("connection", there);
  here.on("error", () => undefined);
  here.resume();
  here.end(bytes);
  await closed.promise;
  server.close();
  return { messages, error };
}

/** Reads the answer to one request with a Node client. */
export async function readResponseWithNode(bytes: Buffer, method: string): Promise<NodeReading> {
  const messages: NodeMessage[] = [];
  const [here, there] = duplexPair();
  const done = Promise.withResolvers<string | undefined>();
  const outgoing = request({
    method,
    host: "127.0.0.1",
    createConnection: () => here,
    maxHeaderSize: MAX_HEADER_BYTES,
  });
  outgoing.on("response", (incoming) => {
    collect(incoming, `${incoming.httpVersion} ${incoming.statusCode} ${incoming.statusMessage}`, messages);
    incoming.on("close", () => done.resolve(undefined));
  });
  outgoing.on("upgrade", () => done.resolve("UPGRADE"));
  outgoing.on("error", (failure: NodeJS.ErrnoException) => done.resolve(failure.code ?? failure.message));
  outgoing.end();
  there.on("error", () => undefined);
  there.resume();
  there.once("data", () => there.end(bytes));
  const error = await done.promise;
  here.destroy();
  return { messages, error };
}

function collect(incoming: IncomingMessage, line: string, messages: NodeMessage[]): void {
  const message: NodeMessage = { line, fields: incoming.rawHeaders, body: "", isWhole: false };
  messages.push(message);
  incoming.setEncoding("latin1");
  incoming.on("data", (text: string) => {
    message.body += text;
  });
  incoming.on("end", () => {
    message.isWhole = incoming.complete;
  });
  incoming.on("error", () => undefined);
}
