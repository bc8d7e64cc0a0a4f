import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type ClientHttp2Session, connect as connectH2 } from "node:http2";
import { connect as connectTcp, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { gzipSync } from "node:zlib";
import { createCa } from "@gatehouse/kit";
import { eventually, stretchedLimit } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { leafMint } from "../src/keep-leaf.ts";
import { openListener } from "../src/rpc/open-listener.ts";
import { ServerProcess } from "./server-process.ts";

const KIB = 1_024;
/** Of what an attack may leave in memory: what it sends is many times more. */
const MAX_GROWTH_KIB = 96 * KIB;
const LEGIT_WITHIN_MS = 2_000;
const LIMITS = { connections: 100, unknownCalls: 100, unknownBytes: 1_024 * KIB, knownBytes: 1_024 * KIB } as const;

/** Of `USER_HZ`, which is 100 on Linux. */
const MS_PER_TICK = 10;
const REGISTER = "/gatehouse.gateway.v1.NodeGatewayService/Register";

/** Field 1 of a message, a text of 4,000 KiB: its tag and length. */
const LONG_TEXT = Buffer.from([0x0a, 0x80, 0x80, 0xfa, 0x01]);

const FRAME = { data: 0, headers: 1, settings: 4, ping: 6, continuation: 9 } as const;
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/** `:method GET`, `:scheme https`, `:path /` of the static table. */
const STATIC_HEADERS = Buffer.from([0x82, 0x87, 0x84]);

/** CPU time that a process has used, in milliseconds. */
function cpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

function residentKib(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}

function frame(type: number, flags: number, streamId: number, payload: Uint8Array): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(streamId, 5);
  return Buffer.concat([head, payload]);
}

describe("a server in a process of its own", () => {
  let server: ServerProcess;
  let port: number;
  beforeAll(async () => {
    server = new ServerProcess();
    await server.start();
    port = Number(new URL(server.url).port);
  });
  afterAll(() => server[Symbol.asyncDispose]());

  async function openRaw(): Promise<TLSSocket> {
    const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    socket.on("error", () => undefined);
    socket.resume();
    await once(socket, "secureConnect");
    socket.write(PREFACE);
    socket.write(frame(FRAME.settings, 0, 0, Buffer.alloc(0)));
    return socket;
  }

  function openSession(): ClientHttp2Session {
    const session = connectH2(server.url, { rejectUnauthorized: false });
    session.on("error", () => undefined);
    return session;
  }

  /** Somebody else, on a connection of their own, is served in time. */
  async function expectServed(): Promise<void> {
    const startedMs = performance.now();
    const session = openSession();
    const stream = session.request({ ":path": "/livez" });
    stream.on("error", () => undefined);
    stream.resume();
    const [headers] = (await once(stream, "response")) as [Record<string, unknown>];
    session.destroy();
    expect(headers[":status"]).toBe(200);
    const tookMs = performance.now() - startedMs;
    expect(tookMs).toBeLessThan(await stretchedLimit(LEGIT_WITHIN_MS));
  }

  /** Sends until the server hangs up, or it has borne so much. Answers whether it hung up. */
  async function flood(chunk: () => Buffer, chunks: number): Promise<boolean> {
    const socket = await openRaw();
    for (let at = 0; at < chunks && !socket.destroyed; at += 1) {
      if (!socket.write(chunk())) await drained(socket);
      if (at % 64 === 0) await new Promise(setImmediate);
    }
    const hungUp = socket.destroyed;
    socket.destroy();
    return hungUp;
  }

  const drained = (socket: TLSSocket) =>
    new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        if (!socket.writableNeedDrain || socket.destroyed) done();
      }, 5);
      const done = () => {
        clearInterval(timer);
        resolve();
      };
    });

  const many = (count: number, make: (index: number) => Buffer) =>
    Buffer.concat(Array.from({ length: count }, (_, index) => make(index)));
  let nextStream = 1;
  const FLOODS = {
    "streams that are opened and reset": () =>
      many(200, () => {
        nextStream += 2;
        return Buffer.concat([
          frame(FRAME.headers, 0x5, nextStream, STATIC_HEADERS),
          frame(3, 0, nextStream, Buffer.from([0, 0, 0, 8])),
        ]);
      }),
    "headers that never end": () =>
      Buffer.concat([
        frame(FRAME.headers, 0, 1, STATIC_HEADERS),
        many(8, () => frame(FRAME.continuation, 0, 1, Buffer.alloc(16_000, 0x82))),
      ]),
    "settings that are asked to be acknowledged": () =>
      many(500, () => frame(FRAME.settings, 0, 0, Buffer.from([0, 3, 0, 0, 0, 100]))),
    "pings that want an answer": () => many(500, () => frame(FRAME.ping, 0, 0, Buffer.alloc(8))),
    "frames of kinds that are not known": () => many(500, () => frame(0xee, 0, 0, Buffer.alloc(16))),
  } as const;

  test.each(Object.entries(FLOODS))("%s: end their connection at little cost; others are served", async (_, chunk) => {
    const before = residentKib(server.pid);
    nextStream = 1;
    const flooding = Promise.all([flood(chunk, 400), flood(chunk, 400)]);
    await expectServed();
    expect(await flooding).toEqual([true, true]);
    await expectServed();
    expect(residentKib(server.pid) - before).toBeLessThan(MAX_GROWTH_KIB);
  });

  test("answers that nobody takes are bounded for each connection, and others are served", async () => {
    const before = residentKib(server.pid);
    const sessions = Array.from({ length: 12 }, () =>
      connectH2(server.url, { rejectUnauthorized: false, settings: { initialWindowSize: 0 } }),
    );
    for (const session of sessions) {
      session.on("error", () => undefined);
      for (let at = 0; at < 250; at += 1) {
        const stream = session.request({ ":path": "/sign-in" });
        stream.on("error", () => undefined);
        stream.pause();
      }
    }
    await Promise.all(sessions.map((session) => new Promise((resolve) => session.ping(resolve))));
    await expectServed();
    expect(residentKib(server.pid) - before).toBeLessThan(MAX_GROWTH_KIB);
    for (const session of sessions) session.destroy();
  });

  test.each(["application/grpc-web+proto", "application/grpc", "application/proto"])(
    "a message of %s in frames of a byte costs what it holds; others are served",
    async (type) => {
      const before = { kib: residentKib(server.pid), ms: cpuMs(server.pid) };
      const socket = await openRaw();
      const named = (name: string, value: string) =>
        Buffer.concat([
          Buffer.from([0, name.length]),
          Buffer.from(name),
          Buffer.from([value.length]),
          Buffer.from(value),
        ]);
      const head = Buffer.concat([
        Buffer.from([0x83, 0x87, 0x04, REGISTER.length]),
        Buffer.from(REGISTER),
        named(":authority", "x"),
        named("content-type", type),
      ]);
      const prefix = frame(FRAME.data, 0, 1, Buffer.from([0, 0, 0x10, 0, 0]));
      socket.write(Buffer.concat([frame(FRAME.headers, 0x4, 1, head), prefix]));
      const frames = many(1_000, () => frame(FRAME.data, 0, 1, Buffer.alloc(1)));
      for (let at = 0; at < 100 && !socket.destroyed; at += 1) {
        if (!socket.write(frames)) await drained(socket);
        await new Promise(setImmediate);
      }
      await expectServed();
      expect(socket.destroyed).toBe(false);
      socket.destroy();
      // Each frame looked at with all before it, they took six seconds.
      expect(cpuMs(server.pid) - before.ms).toBeLessThan(3_000);
      expect(residentKib(server.pid) - before.kib).toBeLessThan(MAX_GROWTH_KIB);
    },
  );

  test.each([
    ["that are compressed", 200, gzipSync(Buffer.concat([LONG_TEXT, Buffer.alloc(4_000 * KIB, 65)])), "gzip"],
    ["of fields that nothing reads", 16, Buffer.alloc(500 * KIB, Buffer.from([0x78, 0])), "identity"],
  ])("messages %s take no more than they hold; others are served", async (_, calls, body, encoding) => {
    const before = { kib: residentKib(server.pid), ms: cpuMs(server.pid) };
    const sessions = Array.from({ length: 4 }, openSession);
    const headers = { ":method": "POST", ":path": REGISTER, "content-type": "application/proto" };
    const answers = sessions.flatMap((session) =>
      Array.from({ length: calls }, async () => {
        const stream = session.request({ ...headers, "content-encoding": encoding });
        stream.on("error", () => undefined);
        stream.resume();
        stream.end(body);
        const [answer] = (await once(stream, "response")) as [Record<string, unknown>];
        return answer[":status"];
      }),
    );
    const statuses = await Promise.all(answers);
    await expectServed();
    expect(statuses.filter((status) => status === 200)).toEqual([]);
    // Inflated and parsed before anybody was known, they took gigabytes and seconds.
    expect(residentKib(server.pid) - before.kib).toBeLessThan(2 * MAX_GROWTH_KIB);
    expect(cpuMs(server.pid) - before.ms).toBeLessThan(3_000);
    for (const session of sessions) session.destroy();
  });

  test("messages that are many and never whole end who sends most of them; others are served", async () => {
    const before = residentKib(server.pid);
    const send = (session: ClientHttp2Session, bytes: number) => {
      const headers = { ":method": "POST", ":path": REGISTER, "content-type": "application/proto" };
      const stream = session.request(headers, { endStream: false });
      stream.on("error", () => undefined);
      stream.resume();
      stream.write(Buffer.alloc(bytes));
      return stream;
    };
    const honest = openSession();
    const slow = send(honest, 64 * KIB);
    const greedy = Array.from({ length: 2 }, openSession);
    for (const session of greedy) for (let at = 0; at < 200; at += 1) send(session, 400 * KIB);
    await eventually("both are cut", () => greedy.every(({ destroyed }) => destroyed), { timeoutMs: 20_000 });
    await expectServed();
    expect(residentKib(server.pid) - before).toBeLessThan(4 * MAX_GROWTH_KIB);
    slow.end();
    // Whatever it is told of its zeros, it is answered.
    await once(slow, "response");
    expect(honest.destroyed).toBe(false);
    honest.destroy();
  });

  test("connections that do not finish their TLS handshake are cut after ten seconds; others are served meanwhile", async () => {
    const sockets = Array.from({ length: 500 }, () => connectTcp({ host: "127.0.0.1", port }));
    let closed = 0;
    for (const [index, socket] of sockets.entries()) {
      socket.on("error", () => undefined);
      socket.once("close", () => {
        closed += 1;
      });
      // A record that says it has 512 bytes, and one of them.
      if (index % 2 === 0) socket.write(Buffer.from([0x16, 3, 1, 2, 0, 1]));
    }
    await expectServed();
    await eventually("all are cut", () => closed === sockets.length, { timeoutMs: 15_000, everyMs: 100 });
  });
});

describe("a listener whose places are all taken", () => {
  test("gives a newcomer the place of whoever showed longest nothing of themselves, and cuts nobody who did", async () => {
    const ca = await createCa({ commonName: "test", days: 1, pathLength: 0 });
    const mint = leafMint({ ca, name: "127.0.0.1", ttlMs: 60_000 });
    await using listener = await openListener({
      host: "127.0.0.1",
      port: 0,
      limits: { ...LIMITS, connections: 4 },
      ...(await mint()),
    });
    listener.serve((request, response) => {
      if (request.url === "/known") listener.keep(request.socket, "a node");
      response.end("ok");
    });
    const sessions: ClientHttp2Session[] = [];
    const ask = async (path: string) => {
      const session = connectH2(`https://127.0.0.1:${listener.port}`, { rejectUnauthorized: false });
      sessions.push(session);
      session.on("error", () => undefined);
      const stream = session.request({ ":path": path });
      stream.on("error", () => undefined);
      stream.resume();
      await once(stream, "end");
      return session;
    };
    const known = [await ask("/known"), await ask("/known"), await ask("/known")];
    const held: Socket[] = [];
    for (let at = 0; at < 20; at += 1) {
      const socket = connectTcp({ host: "127.0.0.1", port: listener.port });
      socket.on("error", () => undefined);
      held.push(socket);
      await once(socket, "connect");
    }
    const last = await ask("/");
    await eventually("they who say nothing are cut", () => held.every(({ destroyed }) => destroyed));
    expect([...known, last].map(({ destroyed }) => destroyed)).toEqual([false, false, false, false]);
    const fourth = await ask("/known");
    expect([last.destroyed, fourth.destroyed]).toEqual([true, false]);
    const refused = connectTcp({ host: "127.0.0.1", port: listener.port }).on("error", () => undefined);
    await once(refused, "close");
    expect([...known, fourth].every(({ destroyed }) => !destroyed)).toBe(true);
    for (const session of sessions) session.destroy();
  });

  test("counts what calls take by who makes them, and those that began before that was known with the others of known peers", async () => {
    const ca = await createCa({ commonName: "test", days: 1, pathLength: 0 });
    const mint = leafMint({ ca, name: "127.0.0.1", ttlMs: 60_000 });
    await using listener = await openListener({ host: "127.0.0.1", port: 0, limits: LIMITS, ...(await mint()) });
    let began = 0;
    listener.serve((request) => {
      const held = listener.hold(request);
      request.on("error", () => undefined);
      const { pathname, searchParams } = new URL(request.url, "https://x");
      const who = pathname.slice(1);
      if (who !== "") listener.keep(request.socket, who);
      held.set(Number(searchParams.get("kib")) * KIB);
      began += 1;
    });
    const begin = async (path: string) => {
      const session = connectH2(`https://127.0.0.1:${listener.port}`, { rejectUnauthorized: false });
      session.on("error", () => undefined);
      const so = began + 1;
      session.request({ ":path": path }).on("error", () => undefined);
      await eventually("it began", () => began === so);
      return session;
    };
    const modest = await begin("/modest?kib=400");
    const greedy = [await begin("/greedy?kib=250"), await begin("/greedy?kib=300")];
    const strangers = [await begin("/?kib=400"), await begin("/?kib=600")];
    expect([modest, ...greedy, ...strangers].filter(({ destroyed }) => destroyed)).toEqual([]);
    strangers.push(await begin("/?kib=100"));
    await eventually("a stranger is cut", () => strangers[1]?.destroyed === true);
    greedy.push(await begin("/greedy?kib=200"));
    await eventually("one of the greedy is cut", () => greedy[1]?.destroyed === true);
    expect([modest, greedy[0], greedy[2], strangers[0]].map((one) => one?.destroyed)).toEqual(Array(4).fill(false));
    for (const session of [modest, ...greedy, ...strangers]) session.destroy();
  });

  test("with calls that nobody lets end, cuts who has most of them and serves who comes with one", async () => {
    const ca = await createCa({ commonName: "test", days: 1, pathLength: 0 });
    const mint = leafMint({ ca, name: "127.0.0.1", ttlMs: 60_000 });
    await using listener = await openListener({ host: "127.0.0.1", port: 0, limits: LIMITS, ...(await mint()) });
    let served = 0;
    listener.serve((request, response) => {
      served += 1;
      if (request.url === "/known") listener.keep(request.socket, "a node");
      if (request.url !== "/held") response.end("ok");
    });
    const open = () => {
      const session = connectH2(`https://127.0.0.1:${listener.port}`, { rejectUnauthorized: false });
      session.on("error", () => undefined);
      const ask = (path: string) => {
        const stream = session.request({ ":path": path });
        stream.on("error", () => undefined);
        stream.resume();
        return stream;
      };
      return { session, ask };
    };
    const [known, greedy, newcomer] = [open(), open(), open()];
    await once(known.ask("/known"), "end");
    for (let at = 0; at < 100; at += 1) known.ask("/held");
    for (let at = 0; at < 100; at += 1) greedy.ask("/held");
    await eventually("all are under way", () => served === 201);
    // Those of a known peer are not counted; one more of the greedy one is one too many.
    expect(greedy.session.destroyed).toBe(false);
    greedy.ask("/held");
    await once(newcomer.ask("/"), "end");
    await eventually("the greedy one is cut", () => greedy.session.destroyed);
    expect([known.session.destroyed, newcomer.session.destroyed]).toEqual([false, false]);
    for (const { session } of [known, newcomer]) session.destroy();
  });
});
