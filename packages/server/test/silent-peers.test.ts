import { once } from "node:events";
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  createSecureServer,
  type ServerHttp2Session,
} from "node:http2";
import { SILENCE, SilentPeers } from "@gatehouse/kit";
import { createTestAuthority, eventually, listenOnLoopback, openFaultProxy } from "@gatehouse/testbed";
import { expect, test } from "vitest";

/** As in earnest, two hundred times as fast. */
const [OPENER, ACCEPTOR] = [
  { ...SILENCE.ofOpener, everyMs: 20 },
  { ...SILENCE.ofAcceptor, everyMs: 20 },
];

test("a peer that vanished is cut by both, and their streams end; who is only quiet stays", async () => {
  await using path = await openPath();
  using ofServer = new SilentPeers(ACCEPTOR);
  using ofClients = new SilentPeers(OPENER);
  path.onSession((session) => ofServer.watch(session));
  const [gone, quiet] = [await path.openStream(path.proxy.port), await path.openStream(path.port)];
  for (const { session } of [gone, quiet]) ofClients.watch(session);
  const ended = once(gone.stream, "close");
  path.proxy.vanish();
  await ended;
  await eventually("the server's cut", () => path.sessions[0]?.destroyed);
  let pings = 0;
  path.sessions[1]?.on("ping", () => {
    pings += 1;
  });
  await eventually("signs of life", () => pings > 3);
  expect(quiet.session.destroyed).toBe(false);
});

test("a client that gives no sign of life is asked for one, and stays when it answers", async () => {
  await using path = await openPath();
  using ofServer = new SilentPeers(ACCEPTOR);
  path.onSession((session) => ofServer.watch(session));
  const { session } = await path.openStream(path.port);
  let asked = 0;
  session.on("ping", () => {
    asked += 1;
  });
  await eventually("several questions", () => asked > 3);
  expect(session.destroyed).toBe(false);
});

test("where both speak anyway nobody pings", async () => {
  await using path = await openPath();
  using ofServer = new SilentPeers(ACCEPTOR);
  using ofClients = new SilentPeers(OPENER);
  path.onSession((session) => ofServer.watch(session));
  const { session, stream } = await path.openStream(path.port);
  ofClients.watch(session);
  let pings = 0;
  for (const end of [session, path.sessions[0]]) {
    end?.on("ping", () => {
      pings += 1;
    });
  }
  let answers = 0;
  stream.on("data", () => {
    answers += 1;
  });
  const talk = setInterval(() => stream.write("word"), 10);
  await eventually("a long talk", () => answers > 40);
  clearInterval(talk);
  expect(pings).toBe(0);
});

/** A server that says back what it hears, and a proxy before it. */
async function openPath() {
  const stack = new AsyncDisposableStack();
  const authority = await createTestAuthority();
  const server = createSecureServer({ ...authority.serverOptions });
  const sessions: ServerHttp2Session[] = [];
  server.on("session", (session) => sessions.push(session));
  server.on("stream", (stream) => {
    stream.on("error", () => undefined);
    stream.respond({ ":status": 200 });
    stream.pipe(stream);
  });
  const { port } = stack.use(await listenOnLoopback(server));
  const proxy = stack.use(await openFaultProxy(() => ({ host: "127.0.0.1", port })));
  const openStream = async (to: number) => {
    const session: ClientHttp2Session = connect(`https://127.0.0.1:${to}`, { rejectUnauthorized: false });
    stack.defer(() => session.destroy());
    session.on("error", () => undefined);
    const stream: ClientHttp2Stream = session.request({ ":method": "POST", ":path": "/" }, { endStream: false });
    stream.on("error", () => undefined);
    await once(stream, "response");
    return { session, stream };
  };
  const onSession = (watch: (session: ServerHttp2Session) => void) => void server.on("session", watch);
  return { port, proxy, sessions, openStream, onSession, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}
