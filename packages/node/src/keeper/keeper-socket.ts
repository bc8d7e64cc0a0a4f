import { chmod } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { constants } from "node:os";
import { toProblem } from "@gatehouse/core";
import { native, removeFile, socketDescriptor, type TerminalSize } from "@gatehouse/kit";
import * as z from "zod";
import type { ExitStatus } from "./exit-status.ts";
import { terminalSchema } from "./launch-file.ts";
import type { InputPiece } from "./run-input.ts";

/** A piece of input of 64 KiB. */
const MAX_INPUT_TEXT = 87_384;
const STREAMS = ["input", "output", "errors", "terminal"] as const;
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
  z.strictObject({ op: z.literal("exec"), keeper: z.string().regex(/^[0-9a-f]{16}$/) }),
  z.strictObject({ op: z.literal("take-stream"), stream: z.enum(STREAMS) }),
  z.strictObject({ op: z.literal("hold") }),
  z.strictObject({ op: z.literal("resize"), size: terminalSchema }),
]);

type KeeperRequest = z.infer<typeof requestSchema>;
/** Of a command whose streams somebody takes: the ends that are outside. */
export type StreamName = (typeof STREAMS)[number];

/** What a keeper does when asked over its socket, for its run or for a further command in it. */
export interface KeeperActions {
  /** Passes a descriptor to `send`; false where there is none. */
  readonly hand: (name: "listener" | StreamName, send: (fd: number) => void) => boolean;
  readonly status: () => object;
  readonly signal: (name: NodeJS.Signals) => void;
  /** Resolves when the run takes more. False: bytes before these are missing, or it has no input that is open. */
  readonly give: (piece: InputPiece) => Promise<boolean>;
  /** Resolves, with how the command ended, when the sandbox is gone. */
  readonly stop: (graceMs: number) => Promise<ExitStatus>;
  /** Starts the command whose directory has this name. Fails with `exec.…`. */
  readonly exec?: (keeper: string) => Promise<void>;
  /** Tells the command's terminal of another size. */
  readonly resize?: (size: TerminalSize) => void;
  /** Resolves when the command ended, which it does when the signal aborts. */
  readonly hold?: (left: AbortSignal) => Promise<ExitStatus>;
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
  if (request?.op === "take-listener") return giveDescriptor(socket, "listener", actions);
  if (request?.op === "take-stream") return giveDescriptor(socket, request.stream, actions);
  const said = request === undefined ? MALFORMED : await act(request, actions, whenClosed(socket)).catch(describe);
  // Whoever asked and does not hang up must not keep the keeper.
  socket.end(`${JSON.stringify(said)}\n`, () => socket.destroy());
}

const MALFORMED = { error: "malformed request" };

type PlainRequest = Exclude<KeeperRequest, { readonly op: "take-listener" | "take-stream" }>;

async function act(request: PlainRequest, actions: KeeperActions, left: AbortSignal): Promise<object> {
  switch (request.op) {
    case "status":
      return actions.status();
    case "stop":
      return { ok: true, ...(await actions.stop(request.graceMs)) };
    case "input": {
      const { offset, data, last: isLast } = request;
      return { ok: await actions.give({ offset, data: Buffer.from(data, "base64"), isLast }) };
    }
    case "signal":
      actions.signal(request.signal as NodeJS.Signals);
      return { ok: true };
    case "exec":
      if (actions.exec === undefined) return MALFORMED;
      await actions.exec(request.keeper);
      return { ok: true };
    case "resize":
      actions.resize?.(request.size);
      return { ok: true };
    case "hold":
      return actions.hold === undefined ? MALFORMED : { ok: true, ...(await actions.hold(left)) };
  }
}

function describe(failure: unknown): object {
  const { code, detail } = toProblem(failure);
  return { error: code, detail };
}

/** Its end is seen by reading on. */
function whenClosed(socket: Socket): AbortSignal {
  const closed = new AbortController();
  socket.once("close", () => closed.abort());
  socket.resume();
  return closed.signal;
}

function giveDescriptor(socket: Socket, name: "listener" | StreamName, actions: KeeperActions): void {
  const own = socketDescriptor(socket);
  const isThere = own !== undefined && actions.hand(name, (fd) => native.sendDescriptor(own, fd));
  socket.end(isThere ? "" : `{"error":"no ${name}"}\n`);
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
