import { once } from "node:events";
import { type ClientHttp2Session, type ClientHttp2Stream, connect, createServer, type Http2Server } from "node:http2";
import { type AddressInfo, createServer as createTcpServer, connect as dial, type Socket } from "node:net";
import { expect, test } from "vitest";
import { keepAlive } from "../src/server-channel/keep-alive.ts";

test("a connection whose peer answers no ping is cut, and its stream ends", async () => {
  await using pair = await openPair();
  keepAlive(pair.session, pair.socket, { everyMs: 10, withinMs: 50 });
  const ended = once(pair.stream, "close");
  // The peer is there, and hears nothing more.
  pair.fallSilent();
  await ended;
  expect(pair.socket.destroyed).toBe(true);
});

test("one that answers stays open, and is pinged no more once it ended with a stream open", async () => {
  await using pair = await openPair();
  let pings = 0;
  pair.peerSession.on("ping", () => {
    pings += 1;
  });
  const before = countTimers();
  keepAlive(pair.session, pair.socket, { everyMs: 5, withinMs: 10_000 });
  while (pings < 3) await once(pair.peerSession, "ping");
  expect(pair.socket.destroyed).toBe(false);
  const ended = once(pair.session, "close");
  pair.session.destroy();
  await ended;
  expect(countTimers()).toBeLessThanOrEqual(before);
});

function countTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === "Timeout").length;
}

async function openPair() {
  const server: Http2Server = createServer();
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200 });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const relay = createRelay((server.address() as AddressInfo).port);
  relay.server.listen(0, "127.0.0.1");
  await once(relay.server, "listening");
  const peerOpened = once(server, "session");
  const socket: Socket = dial((relay.server.address() as AddressInfo).port, "127.0.0.1");
  const session: ClientHttp2Session = connect("http://127.0.0.1", { createConnection: () => socket });
  session.on("error", () => undefined);
  const stream: ClientHttp2Stream = session.request({ ":method": "POST" });
  stream.on("error", () => undefined);
  const [peerSession] = await peerOpened;
  peerSession.on("error", () => undefined);
  await once(stream, "response");
  return {
    session,
    socket,
    stream,
    fallSilent: relay.fallSilent,
    peerSession: peerSession as NodeJS.EventEmitter,
    [Symbol.asyncDispose]: async () => {
      session.destroy();
      socket.destroy();
      relay.end();
      server.close();
    },
  };
}

/** Passes on what comes until it is told not to. */
function createRelay(port: number) {
  const sockets: Socket[] = [];
  const server = createTcpServer((near) => {
    const far = dial(port, "127.0.0.1");
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => undefined);
    near.pipe(far).pipe(near);
  });
  return {
    server,
    fallSilent: () => {
      for (const socket of sockets) socket.unpipe();
    },
    end: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
