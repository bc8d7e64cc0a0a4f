import { chmod } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { constants } from "node:os";
import { native, removeFile, socketDescriptor } from "@gatehouse/kit";
import * as z from "zod";
import type { InputPiece } from "./run-input.ts";
import type { ExitStatus } from "./sandbox-process.ts";

/** A piece of input of 64 KiB. */
const MAX_INPUT_TEXT = 87_384;
const requestSchema = z.discriminatedUnion("op", [
  z.strictObject({ op: z.literal("take-listener") }),
  z.strictObject({ op: z.literal("status") }),
  z.strictObject({ op: z.literal("signal"), signal: z.enum(Object.keys(constants.signals)) }),
  z.strictObject({
    op: z.literal("input"),
    offset: z.number().int().min(0),
    data: z.base64().max(MAX_INPUT_TEXT),
    last: z.boolean(),
  }),
  z.strictObject({ op: z.literal("stop"), graceMs: z.number().int().min(0).max(600_000) }),
]);

type KeeperRequest = z.infer<typeof requestSchema>;

/** What a keeper does when asked over its socket. */
export interface KeeperActions {
  readonly listenerFd: () => number | undefined;
  readonly status: () => object;
  readonly signal: (name: NodeJS.Signals) => void;
  /** Resolves when the run takes more. False: bytes before these are missing, or it has no input that is open. */
  readonly give: (piece: InputPiece) => Promise<boolean>;
  /** Resolves, with how the command ended, when the sandbox is gone. */
  readonly stop: (graceMs: number) => Promise<ExitStatus>;
}

const MAX_LINE_BYTES = MAX_INPUT_TEXT + 4_096;
const LINE_TIMEOUT_MS = 5_000;

/** Serves one JSON line per connection on a socket of mode 0600, to the same user or root. */
export async function serveKeeper(socketPath: string, actions: KeeperActions): Promise<AsyncDisposable> {
  await removeFile(socketPath);
  const server = createServer((socket) => serveOne(socket, actions));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(socketPath, resolve);
  });
  await chmod(socketPath, 0o600);
  return {
    [Symbol.asyncDispose]: async () => {
      server.close();
      await removeFile(socketPath);
    },
  };
}

function serveOne(socket: Socket, actions: KeeperActions): void {
  let text = "";
  socket.setTimeout(LINE_TIMEOUT_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  if (!isAllowed(socket)) return void socket.destroy();
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString();
    if (text.length > MAX_LINE_BYTES) return void socket.destroy();
    const end = text.indexOf("\n");
    if (end < 0) return;
    socket.removeAllListeners("data");
    socket.setTimeout(0);
    void answer(socket, text.slice(0, end), actions);
  });
}

async function answer(socket: Socket, line: string, actions: KeeperActions): Promise<void> {
  const request = parse(line);
  if (request?.op === "take-listener") return giveListener(socket, actions.listenerFd());
  const said = request === undefined ? { error: "malformed request" } : await act(request, actions);
  // Whoever asked and does not hang up must not keep the keeper.
  socket.end(`${JSON.stringify(said)}\n`, () => socket.destroy());
}

async function act(request: Exclude<KeeperRequest, { op: "take-listener" }>, actions: KeeperActions): Promise<object> {
  if (request.op === "status") return actions.status();
  if (request.op === "stop") return { ok: true, ...(await actions.stop(request.graceMs)) };
  if (request.op === "input") {
    const { offset, data, last: isLast } = request;
    return { ok: await actions.give({ offset, data: Buffer.from(data, "base64"), isLast }) };
  }
  actions.signal(request.signal as NodeJS.Signals);
  return { ok: true };
}

function giveListener(socket: Socket, fd: number | undefined): void {
  const own = socketDescriptor(socket);
  if (fd === undefined || own === undefined) return void socket.end('{"error":"no listener"}\n');
  native.sendDescriptor(own, fd);
  socket.end();
}

function isAllowed(socket: Socket): boolean {
  const own = socketDescriptor(socket);
  if (!native.available || own === undefined) return true; // 0600 in 0700 is the check then
  const { uid } = native.peerCredentials(own);
  return uid === 0 || uid === process.getuid?.();
}

function parse(line: string): KeeperRequest | undefined {
  try {
    return requestSchema.parse(JSON.parse(line));
  } catch {
    return undefined;
  }
}
