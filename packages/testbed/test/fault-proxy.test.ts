import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { eventually, type FaultProxy, listenOnLoopback, openFaultProxy, stretchedLimit } from "../src/index.ts";

/** A server behind a proxy, and both ends of one connection through it. */
async function openPath(seed = 1) {
  const stack = new AsyncDisposableStack();
  const ends: End[] = [];
  const server = createServer({ allowHalfOpen: true }, (socket) => ends.push(new End(socket)));
  const { port } = stack.use(await listenOnLoopback(server));
  const proxy: FaultProxy = stack.use(await openFaultProxy(() => ({ host: "127.0.0.1", port }), { seed }));
  const dialPort = async (to: number) => {
    const count = ends.length;
    const client = new End(connect({ host: "127.0.0.1", port: to, allowHalfOpen: true }));
    stack.defer(() => void client.socket.destroy());
    await once(client.socket, "connect");
    return { client, arrived: () => eventually("the connection", () => ends[count]) };
  };
  const [dial, dialDirectly] = [() => dialPort(proxy.port), () => dialPort(port)];
  return { proxy, ends, dial, dialDirectly, [Symbol.asyncDispose]: () => stack.disposeAsync() };
}

class End {
  readonly socket: Socket;
  heard = Buffer.alloc(0);
  hasEnded = false;
  error: string | undefined;

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) => {
      this.heard = Buffer.concat([this.heard, chunk]);
    });
    socket.on("end", () => {
      this.hasEnded = true;
    });
    socket.on("error", (failure: NodeJS.ErrnoException) => {
      this.error = failure.code;
    });
  }

  hears(text: string): Promise<unknown> {
    return eventually(
      () => `"${text}"; there is "${this.heard}"`,
      () => this.heard.includes(text),
    );
  }
}

/** Time for what must not come. */
async function roundTrip({ dial }: Pick<Awaited<ReturnType<typeof openPath>>, "dial">): Promise<void> {
  const { client, arrived } = await dial();
  const server = await arrived();
  client.socket.write("?");
  await server.hears("?");
  server.socket.write("!");
  await client.hears("!");
}

test("without faults bytes and ends pass both ways", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  const much = Buffer.alloc(3_000_000, "x");
  client.socket.end(Buffer.concat([much, Buffer.from("last")]));
  await server.hears("last");
  expect(server.heard.length).toBe(much.length + 4);
  await eventually("the end", () => server.hasEnded);
  server.socket.end("answer");
  await client.hears("answer");
  await eventually("the connection's end", () => path.proxy.open === 0);
  expect(path.proxy.accepted).toBe(1);
});

test("a delay holds every byte back so long, and jitter turns no order round", async () => {
  await using path = await openPath();
  path.proxy.impair("up", { delayMs: 60, jitterMs: 30 });
  const { client, arrived } = await path.dial();
  const server = await arrived();
  const startedMs = performance.now();
  for (let at = 0; at < 20; at += 1) {
    client.socket.write(`${at};`);
    await new Promise(setImmediate);
  }
  await server.hears("19;");
  const tookMs = performance.now() - startedMs;
  expect(tookMs).toBeGreaterThan(59);
  // Bytes travel together: twenty pieces are not twenty delays.
  expect(tookMs).toBeLessThan(await stretchedLimit(600));
  expect(server.heard.toString()).toBe(Array.from({ length: 20 }, (_, at) => `${at};`).join(""));
});

test("a throttle lets so many bytes through in a second, in its direction alone", async () => {
  await using path = await openPath();
  path.proxy.impair("down", { bytesPerSecond: 200_000 });
  const { client, arrived } = await path.dial();
  const server = await arrived();
  const startedMs = performance.now();
  client.socket.write(Buffer.alloc(1_000_000));
  await eventually("what went up", () => server.heard.length === 1_000_000);
  const upMs = performance.now() - startedMs;
  server.socket.write(Buffer.alloc(60_000));
  await eventually("what came down", () => client.heard.length === 60_000);
  expect(performance.now() - startedMs - upMs).toBeGreaterThan(250);
});

test("corruption turns bits over, the same ones for the same seed", async () => {
  const heardOf = async (seed: number) => {
    await using path = await openPath(seed);
    path.proxy.impair("up", { corruptChance: 1 });
    const { client, arrived } = await path.dial();
    const server = await arrived();
    client.socket.write("\0");
    await eventually("the byte", () => server.heard.length === 1);
    return server.heard[0];
  };
  const first = await heardOf(7);
  expect(first).not.toBe(0);
  expect(await heardOf(7)).toBe(first);
});

test("what is sent in a cut direction arrives after it is healed; the other direction goes on", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  path.proxy.cut("up");
  client.socket.write("held");
  server.socket.write("passed");
  await client.hears("passed");
  expect(server.heard.length).toBe(0);
  path.proxy.heal();
  await server.hears("held");
});

test("cut both ways, new connections hang and ends are not heard of; both come after it is healed", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  path.proxy.cut("both");
  client.socket.end("bye");
  const other = await path.dial();
  other.client.socket.write("hello");
  await roundTrip({ ...path, dial: path.dialDirectly });
  expect([server.heard.length, server.hasEnded]).toEqual([0, false]);
  path.proxy.heal();
  await server.hears("bye");
  await eventually("the end", () => server.hasEnded);
  await eventually("the new connection", () => path.ends.some(({ heard }) => heard.includes("hello")));
});

test("a cut of what is open lets new connections through", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  path.proxy.cut("both", "open");
  client.socket.write("held");
  await eventually("something is held back", () => path.proxy.holdsBack);
  await roundTrip(path);
  expect(server.heard.length).toBe(0);
  path.proxy.heal();
  await server.hears("held");
  expect(path.proxy.holdsBack).toBe(false);
});

test("a connection that is cut after so many bytes passes these and no more", async () => {
  await using path = await openPath();
  path.proxy.impair("up", { cutAfterBytes: 5 });
  const { client, arrived } = await path.dial();
  const server = await arrived();
  client.socket.write("abc");
  client.socket.write("defg");
  await eventually("something is held back", () => path.proxy.holdsBack);
  await server.hears("abcde");
  server.socket.write("down");
  await client.hears("down");
  expect(server.heard.toString()).toBe("abcde");
  path.proxy.heal();
  await server.hears("abcdefg");
});

test("a reset reaches both ends of open connections; new ones pass", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  path.proxy.reset();
  await eventually("both hear of it", () => client.error === "ECONNRESET" && server.error === "ECONNRESET");
  await roundTrip(path);
});

test("a reset by one end reaches the other", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  client.socket.resetAndDestroy();
  await eventually("the other hears of it", () => server.error === "ECONNRESET");
});

test("a reset of what is cut leaves other connections alone, and what was held back is lost", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  path.proxy.cut("up", "open");
  const other = await path.dial();
  const otherServer = await other.arrived();
  client.socket.write("lost");
  await eventually("something is held back", () => path.proxy.holdsBack);
  path.proxy.reset("cut");
  await eventually("both hear of it", () => client.error === "ECONNRESET" && server.error === "ECONNRESET");
  other.client.socket.write("passed");
  await otherServer.hears("passed");
  expect(server.heard.length).toBe(0);
});

test("a half-closed connection goes on in the other direction", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  path.proxy.halfClose("up");
  await eventually("the end", () => server.hasEnded);
  client.socket.write("lost");
  server.socket.write("still");
  await client.hears("still");
  expect([server.heard.length, client.hasEnded]).toEqual([0, false]);
});

test("a peer that vanished says nothing more, not even that it is gone; new connections pass", async () => {
  await using path = await openPath();
  const { client, arrived } = await path.dial();
  const server = await arrived();
  path.proxy.vanish();
  client.socket.write("lost");
  client.socket.destroy();
  await roundTrip(path);
  path.proxy.heal();
  await roundTrip(path);
  expect([server.heard.length, server.hasEnded, server.error, server.socket.destroyed]).toEqual([
    0,
    false,
    undefined,
    false,
  ]);
});
