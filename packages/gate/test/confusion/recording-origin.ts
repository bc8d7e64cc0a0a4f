import { createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { listenOnLoopback, type TestAuthority } from "@gatehouse/testbed";
import { type PlainMessage, PlainStream } from "./plain-stream.ts";

/** An outside service that keeps every byte and says in each answer what it was asked. */
export interface RecordingOrigin extends AsyncDisposable {
  readonly port: number;
  /** Every connection since the start. */
  readonly streams: readonly PlainStream[];
  /** Connections since the last call. */
  take(): readonly PlainStream[];
}

export async function openRecordingOrigin(authority: TestAuthority | undefined): Promise<RecordingOrigin> {
  const streams: PlainStream[] = [];
  let taken = 0;
  const onConnection = (socket: Socket) => {
    const answer = (message: PlainMessage, stream: PlainStream) => stream.socket.write(answerTo(message), "latin1");
    streams.push(new PlainStream(socket, answer));
  };
  const server =
    authority === undefined ? createServer(onConnection) : createTlsServer(authority.serverOptions, onConnection);
  server.on("tlsClientError", () => undefined);
  const loopback = await listenOnLoopback(server);
  return {
    port: loopback.port,
    streams,
    take: () => {
      const since = streams.slice(taken);
      taken = streams.length;
      return since;
    },
    [Symbol.asyncDispose]: () => loopback[Symbol.asyncDispose](),
  };
}

/** What the service says of a request: enough to tell it from every other one. */
export function whatWasSeen({ start, body }: Pick<PlainMessage, "start" | "body">): string {
  return `${start.split(" ").slice(0, 2).join(" ")} ${body.length}`.slice(0, 200);
}

function answerTo(message: PlainMessage): string {
  const saw = whatWasSeen(message);
  if (message.start.startsWith("HEAD ")) return `HTTP/1.1 200 OK\r\nX-Saw: ${saw}\r\n\r\n`;
  return `HTTP/1.1 200 OK\r\nX-Saw: ${saw}\r\nContent-Length: 2\r\n\r\nok`;
}
