import { createSocket } from "node:dgram";
import { createServer } from "node:net";
import { listenOnLoopback } from "./loopback-server.ts";

/** A loopback port that must never be reached, or proves that a probe reaches what nothing forbids. */
export interface ContactCounter extends AsyncDisposable {
  /** The same number for TCP and UDP. */
  readonly port: number;
  /** TCP connections accepted. */
  readonly tcp: number;
  /** UDP datagrams received. */
  readonly udp: number;
}

/** Listens for TCP and UDP and counts; TCP callers are sent `hello` and closed, datagrams are sent back. */
export async function openContactCounter(): Promise<ContactCounter> {
  const stream = await listenOnLoopback(
    createServer((socket) => socket.on("error", () => socket.destroy()).end("hello")),
  );
  const datagram = createSocket("udp4");
  let udp = 0;
  datagram.on("message", (message, { port, address }) => {
    udp += 1;
    datagram.send(message, port, address);
  });
  await new Promise<void>((resolve, reject) => {
    datagram.once("error", reject);
    datagram.bind(stream.port, "127.0.0.1", resolve);
  });
  return {
    port: stream.port,
    get tcp() {
      return stream.connections;
    },
    get udp() {
      return udp;
    },
    [Symbol.asyncDispose]: async () => {
      await new Promise<void>((resolve) => datagram.close(resolve));
      await stream[Symbol.asyncDispose]();
    },
  };
}
