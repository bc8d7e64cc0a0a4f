import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { native, socketDescriptor } from "../../src/index.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

const run = promisify(execFile);
const LINE = '{"op":"take-listener"}';

/** Sockets that this process has open, by inode. */
const openSockets = () =>
  readdirSync("/proc/self/fd").flatMap((name) => {
    try {
      const target = readlinkSync(`/proc/self/fd/${name}`);
      return target.startsWith("socket:") ? [target] : [];
    } catch {
      return [];
    }
  });

async function listening(server: Server, where: string | number): Promise<Server> {
  server.listen(typeof where === "number" ? { port: where, host: "127.0.0.1" } : { path: where });
  await once(server, "listening");
  return server;
}

const descriptorOf = (socket: Socket | Server): number => socketDescriptor(socket) ?? -1;

async function withKeeper(answer: (socket: Socket, asked: string) => void) {
  const place = await temporaryDirectory();
  const path = join(place.path, "keeper.sock");
  const sockets = new Set<Socket>();
  const keeper = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.once("data", (chunk) => answer(socket, chunk.toString()));
  });
  await listening(keeper, path);
  const close = async () => {
    for (const socket of sockets) socket.destroy();
    keeper.close();
    await place[Symbol.asyncDispose]();
  };
  return { path, [Symbol.asyncDispose]: close };
}

test("native calls are there on this host", () => {
  expect(native.why).toBeUndefined();
  expect(native.available).toBe(true);
});

test("the kernel names both ends of a Unix connection", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "s");
  const server = await listening(createServer(), path);
  const peer = spawn("python3", [
    "-c",
    "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()",
    path,
  ]);
  const [socket] = (await once(server, "connection")) as [Socket];
  expect(native.peerCredentials(descriptorOf(socket))).toEqual({
    pid: peer.pid,
    uid: process.getuid?.(),
    gid: process.getgid?.(),
  });
  peer.stdin.end();
  await once(peer, "exit");
  socket.destroy();
  server.close();
  expect(socketDescriptor(socket)).toBeUndefined();
  expect(() => native.peerCredentials(-1)).toThrow("EBADF");
});

test("a listener moves to a second process and connections wait for it meanwhile", async () => {
  const listener = await listening(createServer(), 0);
  const { port } = listener.address() as AddressInfo;
  await using keeper = await withKeeper((socket, asked) => {
    expect(asked).toBe(`${LINE}\n`);
    native.sendDescriptor(descriptorOf(socket), descriptorOf(listener));
    listener.close();
    socket.end();
  });
  const script = fileURLToPath(new URL("descriptor-receiver.ts", import.meta.url));
  const receiver = spawn(process.execPath, [script, keeper.path]);
  await once(receiver.stdout, "data");
  expect(await text(connect(port, "127.0.0.1"))).toBe("second process");
  receiver.kill("SIGKILL");
  await once(receiver, "exit");
});

test("the descriptor is closed on exec and is the only one that stays", async () => {
  const listener = await listening(createServer(), 0);
  await using keeper = await withKeeper((socket) => {
    native.sendDescriptor(descriptorOf(socket), descriptorOf(listener));
    socket.end();
  });
  for (let round = 0; round < 20; round += 1) {
    const descriptor = await native.receiveDescriptor(keeper.path, LINE, 1_000);
    expect(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8")).toMatch(/^flags:\s+0?2/m);
    closeSync(descriptor);
  }
  listener.close();
});

interface Refusal {
  readonly title: string;
  readonly code: string;
  readonly answer: (socket: Socket) => void;
  readonly detail: RegExp;
}

test.each<Refusal>([
  {
    title: "refuses in words",
    code: "process.gone",
    answer: (socket) => socket.end('{"error":"no listener yet"}\n'),
    detail: /no listener yet/,
  },
  { title: "closes without a word", code: "process.gone", answer: (socket) => socket.end(), detail: /No descriptor/ },
  {
    title: "says something long",
    code: "process.gone",
    answer: (socket) => socket.end("x".repeat(100_000)),
    detail: /^.{1,300}$/,
  },
  {
    title: "says half a word",
    code: "process.timeout",
    answer: (socket) => socket.write("L"),
    detail: /No descriptor/,
  },
  { title: "stays silent", code: "process.timeout", answer: () => undefined, detail: /No descriptor/ },
])("nothing stays open when the keeper $title", async ({ code, answer, detail }) => {
  await using keeper = await withKeeper(answer);
  await native.receiveDescriptor(keeper.path, LINE, 1).catch(() => undefined);
  const before = openSockets().length;
  for (let round = 0; round < 5; round += 1) {
    const call = native.receiveDescriptor(keeper.path, LINE, 50);
    await expect(call).rejects.toMatchObject({ code, detail: expect.stringMatching(detail) });
  }
  // The keeper's own ends of the five connections live in this process too.
  expect(openSockets().length - before).toBeLessThanOrEqual(5);
});

test("several descriptors at once are refused and closed", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "s");
  const script = `import array,socket,sys
s=socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); print("up",flush=True)
while True:
  c,_=s.accept(); c.recv(100); c.sendmsg([b"L"],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array("i",[s.fileno()]*int(sys.argv[2])))]); c.close()`;
  for (const count of ["2", "8", "20"]) {
    const keeper = spawn("python3", ["-c", script, `${path}${count}`, count]);
    await once(keeper.stdout, "data");
    const before = openSockets().length;
    await expect(native.receiveDescriptor(`${path}${count}`, LINE, 1_000)).rejects.toMatchObject({
      code: "process.gone",
    });
    expect(openSockets().length).toBe(before);
    keeper.kill("SIGKILL");
    await once(keeper, "exit");
  }
});

test("nobody at the socket is told at once, and waiting never blocks the event loop", async () => {
  await using place = await temporaryDirectory();
  const absent = join(place.path, "absent");
  await expect(native.receiveDescriptor(absent, LINE, 1_000)).rejects.toMatchObject({
    code: "process.gone",
    detail: expect.stringContaining("ENOENT"),
  });
  await using keeper = await withKeeper(() => undefined);
  let turns = 0;
  const counter = setInterval(() => {
    turns += 1;
  }, 1);
  await expect(native.receiveDescriptor(keeper.path, LINE, 200)).rejects.toMatchObject({ code: "process.timeout" });
  clearInterval(counter);
  expect(turns).toBeGreaterThan(20);
});

test("a lock on a file excludes other processes until its descriptor is closed", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "file");
  const [first, second] = [openSync(path, "a"), openSync(path, "a")];
  expect(native.flock(first, true, true)).toBe(true);
  expect(native.flock(second, true, true)).toBe(false);
  await expect(run("flock", ["-n", path, "true"])).rejects.toMatchObject({ code: 1 });
  closeSync(first);
  expect(native.flock(second, false, true)).toBe(true);
  await expect(run("flock", ["-n", "-s", path, "true"])).resolves.toBeDefined();
  closeSync(second);
});

test("the loopback interface of an own network namespace comes up, twice without harm", async () => {
  const source = new URL("../../src/index.ts", import.meta.url).href;
  const script = `import { native } from ${JSON.stringify(source)};
    import { createServer } from "node:net";
    native.bringLoopbackUp(); native.bringLoopbackUp();
    const server = createServer().listen(0, "127.0.0.1", () => { console.log("listening"); server.close(); });`;
  const done = await run("unshare", ["-Urn", process.execPath, "--input-type=module", "-e", script]);
  expect(done.stdout).toBe("listening\n");
});

test("a process whose standard error the disk refuses ends within seconds, by SIGALRM where its last synchronising hangs", async () => {
  await using place = await temporaryDirectory();
  const path = join(place.path, "stderr");
  const log = openSync(path, "a");
  const script = fileURLToPath(new URL("failing-end.ts", import.meta.url));
  const end = (program: string, args: readonly string[]) =>
    once(spawn(program, args, { stdio: ["ignore", "ignore", log] }), "exit");
  expect(await end(process.execPath, [script])).toEqual([3, null]);
  const trace = ["-f", "-qq", "-o", join(place.path, "calls"), "-P", path, "-e", "trace=fsync"];
  const refused = [...trace, "-e", "inject=fsync:error=EIO", process.execPath, script];
  expect(await end("strace", refused)).toEqual([null, "SIGALRM"]);
  // The control: that call was refused.
  expect(readFileSync(join(place.path, "calls"), "utf8")).toMatch(/fsync\(2\) += -1 EIO/);
  closeSync(log);
});

test("returning free memory does no harm, not even twice", () => {
  native.returnFreeMemory();
  expect(native.returnFreeMemory()).toBeTypeOf("boolean");
});
