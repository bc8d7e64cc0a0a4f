import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, stat, symlink, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { Problem } from "@gatehouse/core";
import { expect, test } from "vitest";
import {
  createLog,
  proxyToUnix,
  type Route,
  requestUnix,
  requestUnixOk,
  serveUnix,
  streamUnix,
} from "../../src/index.ts";
import { eventually, temporaryDirectory } from "../temporary-directory.ts";

async function open(routes: readonly Route[], options: { maxBodyBytes?: number; closeDeadlineMs?: number } = {}) {
  const place = await temporaryDirectory();
  const socketPath = join(place.path, "daemon.sock");
  const lines: string[] = [];
  const log = createLog({ level: "debug", format: "json", write: (line) => lines.push(line) });
  const server = await serveUnix({ socketPath, routes, log, ...options });
  const close = async () => {
    await server[Symbol.asyncDispose]();
    await place[Symbol.asyncDispose]();
  };
  const call = (method: string, path: string, body?: unknown) => requestUnix({ socketPath, method, path, body });
  return { socketPath, server, lines, call, place: place.path, [Symbol.asyncDispose]: close };
}

const echo: Route = {
  method: "POST",
  path: "/v1/runs/{token}",
  handle: ({ params, query, body, peer }) => ({
    status: 201,
    body: { params, q: query.get("q"), body, pid: peer?.pid },
  }),
};

test("a call reaches its route with parameters, query, body and the caller's process", async () => {
  await using world = await open([echo]);
  expect(await world.call("POST", "/v1/runs/a%2Fb?q=1%202", { x: [1, "é"] })).toEqual({
    status: 201,
    body: { params: { token: "a/b" }, q: "1 2", body: { x: [1, "é"] }, pid: process.pid },
  });
  expect((await stat(world.socketPath)).mode & 0o777).toBe(0o600);
});

test("unknown paths are 404, known ones with another method 405 with what is allowed", async () => {
  await using world = await open([echo, { ...echo, method: "DELETE" }]);
  for (const path of ["/", "/v1/runs", "/v1/runs/", "/v1/runs/a/b", "/v1/runs/%ff", "/V1/runs/a", "//v1/runs/a"]) {
    expect(await world.call("POST", path), path).toMatchObject({ status: 404, body: { code: "api.unknown_path" } });
  }
  const sent = request({ socketPath: world.socketPath, method: "PATCH", path: "/v1/runs/a", agent: false }).end();
  const [answer] = await once(sent, "response");
  expect(answer).toMatchObject({ statusCode: 405, headers: { allow: "POST, DELETE" } });
  expect(JSON.parse(await text(answer))).toEqual({
    error: "The endpoint has no such method.",
    code: "api.method_not_allowed",
  });
});

test("problems keep their status, sentence and code; other failures say nothing and are logged", async () => {
  await using world = await open([
    {
      method: "GET",
      path: "/problem",
      handle: () => {
        throw new Problem("runs.not_found", { detail: "Not x.", cause: new Error("inner") });
      },
    },
    { method: "GET", path: "/bug", handle: () => Promise.reject(new TypeError("inner bug")) },
    { method: "GET", path: "/empty", handle: () => ({ status: 204 }) },
  ]);
  expect(await world.call("GET", "/problem")).toEqual({
    status: 404,
    body: { error: "There is no such run. Not x.", code: "runs.not_found" },
  });
  await expect(requestUnixOk({ socketPath: world.socketPath, path: "/problem" })).rejects.toMatchObject({
    name: "Problem",
    code: "runs.not_found",
    detail: "Not x.",
  });
  expect(await world.call("GET", "/bug")).toEqual({
    status: 500,
    body: { error: "Something failed here.", code: "internal" },
  });
  expect(world.lines.join("")).toContain("inner bug");
  expect(await world.call("GET", "/empty")).toEqual({ status: 204, body: undefined });
});

function sendRaw(socketPath: string, data: string | Buffer): Promise<string> {
  const socket = connect(socketPath);
  socket.end(data);
  return text(socket);
}

test.each([
  ["{", "api.malformed"],
  ["\u00ff", "api.malformed"],
  ['{"a":1}x', "api.malformed"],
  ['{"a":1,"b":{"a":1},"a":2}', "api.malformed"],
  ['[{"b":[{"a":"}","\\u0061" : 2}]}]', "api.malformed"],
])("the body %j is malformed, and what it says is not repeated", async (body, code) => {
  await using world = await open([echo]);
  const data = Buffer.from(body, "latin1");
  const head = `POST /v1/runs/a HTTP/1.1\r\nhost: x\r\ncontent-length: ${data.length}\r\nconnection: close\r\n\r\n`;
  const answer = await sendRaw(world.socketPath, Buffer.concat([Buffer.from(head), data]));
  expect(answer).toMatch(/^HTTP\/1\.1 400 /);
  expect(JSON.parse(answer.split("\r\n\r\n")[1] ?? "")).toMatchObject({ code });
});

test("a body over the bound is 413, with and without a stated length, and nothing is handled", async () => {
  let handled = 0;
  await using world = await open(
    [
      {
        ...echo,
        handle: () => {
          handled += 1;
          return { status: 200 };
        },
      },
    ],
    { maxBodyBytes: 1_000 },
  );
  expect(await world.call("POST", "/v1/runs/a", "x".repeat(1_001))).toMatchObject({
    status: 413,
    body: { code: "api.too_large" },
  });
  const head = "POST /v1/runs/a HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n7d0\r\n";
  expect(await sendRaw(world.socketPath, `${head}${"x".repeat(2_000)}\r\n0\r\n\r\n`)).toMatch(/^HTTP\/1\.1 413 /);
  expect(handled).toBe(0);
});

test("a caller that is not this user or root is refused by the kernel's word", async () => {
  const isRoot = process.getuid?.() === 0;
  if (!isRoot) return;
  await using world = await open([echo]);
  await chmod(world.place, 0o755);
  await chmod(world.socketPath, 0o666);
  const script = `import os,socket,sys
os.setgid(65534); os.setuid(65534)
s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.sendall(b"POST /v1/runs/a HTTP/1.1\\r\\nhost: x\\r\\ncontent-length: 0\\r\\n\\r\\n")
while (d := s.recv(4096)): sys.stdout.buffer.write(d)`;
  const stranger = spawn("python3", ["-c", script, world.socketPath]);
  const answer = await text(stranger.stdout);
  expect(answer).toMatch(/^HTTP\/1\.1 403 /);
  expect(answer).toContain("api.peer_refused");
});

test("a stale socket is replaced, a live one and what is no socket are left alone", async () => {
  await using world = await open([echo]);
  const log = createLog({ level: "error", format: "json", write: () => undefined });
  await expect(serveUnix({ socketPath: world.socketPath, routes: [], log })).rejects.toMatchObject({
    code: "state.locked",
  });
  expect((await world.call("POST", "/v1/runs/a")).status).toBe(201);
  const file = join(world.place, "file");
  await writeFile(file, "kept");
  await symlink(world.socketPath, join(world.place, "link"));
  for (const socketPath of [file, join(world.place, "link")]) {
    await expect(serveUnix({ socketPath, routes: [], log })).rejects.toMatchObject({ code: "state.unsafe_file" });
  }
  const stale = join(world.place, "stale");
  const killed = spawn("python3", [
    "-c",
    "import socket,sys; s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen()",
    stale,
  ]);
  await once(killed, "exit");
  expect((await stat(stale)).isSocket()).toBe(true);
  await using again = await serveUnix({ socketPath: stale, routes: [echo], log });
  expect(again).toBeDefined();
  expect((await requestUnix({ socketPath: stale, method: "POST", path: "/v1/runs/a" })).status).toBe(201);
});

test("closing ends idle connections at once, lets a request finish, aborts its signal and removes the socket", async () => {
  const started = Promise.withResolvers<void>();
  const world = await open([
    {
      method: "GET",
      path: "/slow",
      handle: async ({ signal }) => {
        started.resolve();
        await once(signal, "abort");
        return { status: 200, body: "finished" };
      },
    },
  ]);
  const idle = connect(world.socketPath);
  await once(idle, "connect");
  const slow = world.call("GET", "/slow");
  await started.promise;
  const before = performance.now();
  await world.server[Symbol.asyncDispose]();
  expect(performance.now() - before).toBeLessThan(1_000);
  expect(await slow).toEqual({ status: 200, body: "finished" });
  await expect(stat(world.socketPath)).rejects.toThrow("ENOENT");
  await expect(world.call("GET", "/slow")).rejects.toMatchObject({ code: "daemon.unreachable" });
  idle.destroy();
  await world[Symbol.asyncDispose]();
});

test("a request that does not end is cut when the server closes", async () => {
  const world = await open([{ method: "GET", path: "/never", handle: () => new Promise(() => undefined) }], {
    closeDeadlineMs: 50,
  });
  const cut = expect(world.call("GET", "/never")).rejects.toMatchObject({ code: "daemon.unreachable" });
  await eventually(async () => (await world.call("GET", "/x")).status === 404);
  await world[Symbol.asyncDispose]();
  await cut;
});

test("nobody there, a deadline and an abort are told apart", async () => {
  await using world = await open([{ method: "GET", path: "/never", handle: () => new Promise(() => undefined) }], {
    closeDeadlineMs: 10,
  });
  const { socketPath } = world;
  await expect(requestUnix({ socketPath: `${socketPath}x`, path: "/" })).rejects.toMatchObject({
    code: "daemon.unreachable",
  });
  await expect(requestUnix({ socketPath, path: "/never", timeoutMs: 30 })).rejects.toMatchObject({
    code: "daemon.timeout",
  });
  const signal = AbortSignal.timeout(30);
  await expect(requestUnix({ socketPath, path: "/never", signal })).rejects.toMatchObject({
    name: "TimeoutError",
  });
});

test("lines arrive as they come, the source ends when the follower leaves, a broken stream is an error", async () => {
  let ended = 0;
  async function* count(signal: AbortSignal) {
    try {
      for (let n = 0; !signal.aborted; n += 1) {
        yield { n };
        if (n >= 2) await once(signal, "abort");
      }
    } finally {
      ended += 1;
    }
  }
  const world = await open([
    { method: "GET", path: "/follow", handle: ({ signal }) => ({ status: 200, lines: count(signal) }) },
    {
      method: "GET",
      path: "/three",
      handle: () => ({
        status: 200,
        lines: (async function* () {
          yield 1;
          yield 2;
          yield 3;
        })(),
      }),
    },
    {
      method: "GET",
      path: "/broken",
      handle: () => ({
        status: 200,
        lines: (async function* () {
          yield 1;
          throw new Error("x");
        })(),
      }),
    },
  ]);
  const { socketPath } = world;
  const got: string[] = [];
  for await (const line of streamUnix({ socketPath, path: "/follow" })) {
    got.push(line);
    if (got.length === 3) break;
  }
  expect(got).toEqual(['{"n":0}', '{"n":1}', '{"n":2}']);
  await eventually(() => ended === 1);
  expect(await Array.fromAsync(streamUnix({ socketPath, path: "/three" }))).toEqual(["1", "2", "3"]);
  await expect(Array.fromAsync(streamUnix({ socketPath, path: "/broken" }))).rejects.toMatchObject({
    code: "daemon.unreachable",
  });
  await expect(Array.fromAsync(streamUnix({ socketPath, path: "/none" }))).rejects.toMatchObject({
    code: "api.unknown_path",
  });
  await expect(Array.fromAsync(streamUnix({ socketPath: `${socketPath}x`, path: "/" }))).rejects.toMatchObject({
    code: "daemon.unreachable",
  });
  const abort = new AbortController();
  const followed = Array.fromAsync(streamUnix({ socketPath, path: "/follow", signal: abort.signal }));
  const reason = expect(followed).rejects.toThrow("enough");
  await eventually(async () => (await world.call("GET", "/none")).status === 404);
  abort.abort(new Error("enough"));
  await reason;
  await world[Symbol.asyncDispose]();
});

test("a proxied exchange passes through whole, streams included, and answers when nobody is behind", async () => {
  let left = 0;
  await using behind = await open([
    echo,
    {
      method: "GET",
      path: "/v1/follow",
      handle: ({ signal }) => ({
        status: 200,
        lines: (async function* () {
          yield "first";
          await once(signal, "abort");
          left += 1;
        })(),
      }),
    },
  ]);
  let target = behind.socketPath;
  await using front = await open([
    {
      method: "*",
      path: "/v1/**",
      relay: ({ request, response }) => {
        // As a hand-over has, which waits for what is under way.
        response.once("close", () => undefined);
        return proxyToUnix(request, response, target);
      },
    },
  ]);
  const warnings: Error[] = [];
  process.on("warning", (warning) => warnings.push(warning));
  const body = { big: "x".repeat(500_000) };
  expect(await front.call("POST", "/v1/runs/t?q=1", body)).toMatchObject({
    status: 201,
    body: { params: { token: "t" }, q: "1", body },
  });
  expect(await front.call("PUT", "/v1/runs/t")).toMatchObject({ status: 405 });
  expect(await front.call("GET", "/v2")).toMatchObject({ status: 404 });
  for await (const line of streamUnix({ socketPath: front.socketPath, path: "/v1/follow" })) {
    expect(line).toBe('"first"');
    break;
  }
  await eventually(() => left === 1);
  target = `${behind.socketPath}x`;
  expect(await front.call("POST", "/v1/runs/t", body)).toMatchObject({
    status: 503,
    body: { code: "daemon.unreachable" },
  });
  expect(warnings).toEqual([]);
});

test("a caller that dawdles over its head is cut off, one that waits for its answer is not", async () => {
  const release = Promise.withResolvers<void>();
  await using world = await open([
    {
      method: "GET",
      path: "/waits",
      handle: async () => {
        await release.promise;
        return { status: 200, body: "at last" };
      },
    },
  ]);
  const waiting = world.call("GET", "/waits");
  const dawdler = connect(world.socketPath);
  dawdler.write("GET /waits HTTP/1.1\r\nhost:");
  expect(await text(dawdler)).toMatch(/^HTTP\/1\.1 408 /);
  release.resolve();
  expect(await waiting).toEqual({ status: 200, body: "at last" });
}, 15_000);

test("a client whose server is no server of ours is told so, not given its text", async () => {
  await using place = await temporaryDirectory();
  const socketPath = join(place.path, "s");
  const server = createServer((socket) => socket.end("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<htm>")).listen(
    socketPath,
  );
  await once(server, "listening");
  await expect(requestUnix({ socketPath, path: "/" })).rejects.toMatchObject({ code: "daemon.unreachable" });
  server.close();
});
