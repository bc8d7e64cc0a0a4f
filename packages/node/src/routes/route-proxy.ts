import { createServer, type IncomingMessage, request, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { Problem } from "@gatehouse/core";
import { errorCode, systemReason } from "@gatehouse/kit";
import { type Chosen, chooseTarget } from "./choose-target.ts";
import { describeProblem, sendIndex } from "./route-pages.ts";
import type { RouteTable, Target } from "./route-table.ts";

export interface RouteProxyOptions {
  readonly table: RouteTable;
  readonly port: number;
  /** The port is the default's: a busy one gives way to any free one. */
  readonly mayMove: boolean;
}

/** Serves `[service.]agent.localhost` on loopback. */
export interface RouteProxy extends AsyncDisposable {
  readonly port: number;
}

const CONNECT_TIMEOUT_MS = 5_000;
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);
/** The gate's business, and what a service would believe of whom it talks to. */
const NOT_PASSED = /^(?:proxy-|x-forwarded-|forwarded$)/;

/** Opens the listener. Fails with `config.port_busy` where the port was asked for. */
export async function openRouteProxy({ table, port, mayMove }: RouteProxyOptions): Promise<RouteProxy> {
  const sockets = new Set<Socket>();
  const server = createServer();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  const own = { port: await listenOn(server, port, mayMove) };
  const choose = (message: IncomingMessage, isUpgrade: boolean) =>
    chooseTarget(table, { method: message.method ?? "", headers: message.headers, port: own.port, isUpgrade });
  server.on("request", (message, response) => {
    serve(message, response, { choose, table, port: own.port }).catch((failure: unknown) => refuse(response, failure));
  });
  server.on("upgrade", (message: IncomingMessage, socket: Socket, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    try {
      const chosen = choose(message, true);
      if (chosen.kind !== "target" || message.method !== "GET" || hasBody(message)) {
        throw new Problem("routes.not_found");
      }
      join(message, { socket, head, target: chosen.target });
    } catch (failure) {
      refuseUpgrade(socket, failure);
    }
  });
  return {
    port: own.port,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

async function listenOn(server: Server, port: number, mayMove: boolean): Promise<number> {
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(port, "127.0.0.1", () => {
        server.off("error", reject);
        resolve();
      });
    });
  } catch (failure) {
    if (errorCode(failure) === "EADDRINUSE" && mayMove) return listenOn(server, 0, false);
    throw new Problem("config.port_busy", { detail: `127.0.0.1:${port} (routes.port): ${systemReason(failure)}.` });
  }
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : port;
}

interface Serving {
  readonly choose: (message: IncomingMessage, isUpgrade: boolean) => Chosen;
  readonly table: RouteTable;
  readonly port: number;
}

async function serve(message: IncomingMessage, response: ServerResponse, serving: Serving): Promise<void> {
  const chosen = serving.choose(message, false);
  if (chosen.kind !== "target") return sendIndex(response, { ...serving, chosen });
  const answer = await forward(message, response, chosen.target);
  response.writeHead(answer.statusCode ?? 502, answer.statusMessage, endToEnd(answer.rawHeaders));
  response.flushHeaders();
  await pipeline(answer, response);
}

function forward(message: IncomingMessage, response: ServerResponse, { host, port }: Target): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request({
      host,
      port,
      method: message.method ?? "GET",
      path: message.url ?? "/",
      headers: endToEnd(message.rawHeaders),
      setHost: false,
      agent: false,
    });
    const fail = (failure: unknown) => reject(unreachable({ host, port }, failure));
    sent.once("response", resolve);
    sent.once("error", fail);
    response.once("close", () => sent.destroy());
    pipeline(message, sent).catch(fail);
  });
}

interface Joining {
  readonly socket: Socket;
  readonly head: Buffer;
  readonly target: Target;
}

/** Joins a WebSocket's two ends once the service has switched; any other answer is passed on, and nothing after it. */
function join(message: IncomingMessage, { socket, head, target }: Joining): void {
  const { host, port } = target;
  const { method, url: path, rawHeaders, headers: asked } = message;
  const headers = [...endToEnd(rawHeaders), "Connection", "Upgrade", "Upgrade", asked.upgrade ?? ""];
  const sent = request({ host, port, method, path, headers, setHost: false, agent: false });
  sent.setTimeout(CONNECT_TIMEOUT_MS, () => sent.destroy(new Error("it does not accept")));
  sent.once("socket", (service) => service.once("connect", () => sent.setTimeout(0)));
  sent.once("error", (failure) => refuseUpgrade(socket, unreachable(target, failure)));
  socket.once("close", () => sent.destroy());
  sent.once("upgrade", (answer, service, early) => {
    const end = () => {
      service.destroy();
      socket.destroy();
    };
    for (const side of [service, socket]) side.on("error", end).once("close", end);
    socket.write(headOf(answer, ["Connection", "Upgrade", "Upgrade", answer.headers.upgrade ?? ""]), "latin1");
    socket.write(early);
    service.write(head);
    service.pipe(socket).pipe(service);
  });
  sent.once("response", (answer) => {
    socket.resume();
    socket.write(headOf(answer, ["Connection", "close"]), "latin1");
    pipeline(answer, socket).then(
      () => socket.destroySoon(),
      () => socket.destroy(),
    );
  });
  sent.end();
}

function headOf({ statusCode, statusMessage, rawHeaders }: IncomingMessage, own: readonly string[]): string {
  const fields = [...endToEnd(rawHeaders), ...own];
  const lines = fields.flatMap((name, index) => (index % 2 === 0 ? [`${name}: ${fields[index + 1] ?? ""}`] : []));
  return `HTTP/1.1 ${statusCode} ${statusMessage}\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** A request to switch that has a body: where it ends, what comes behind it begins. */
function hasBody({ headers }: IncomingMessage): boolean {
  return headers["content-length"] !== undefined || headers["transfer-encoding"] !== undefined;
}

/** Names and values in turn, in their order, without what is said of one connection. */
function endToEnd(raw: readonly string[]): string[] {
  const pairs = raw.flatMap((name, index) => (index % 2 === 0 ? [[name, raw[index + 1] ?? ""] as const] : []));
  const named = pairs.flatMap(([name, value]) =>
    name.toLowerCase() === "connection" ? value.toLowerCase().split(",") : [],
  );
  const isDropped = (name: string) =>
    HOP_BY_HOP.has(name) || NOT_PASSED.test(name) || named.some((one) => one.trim() === name);
  return pairs.filter(([name]) => !isDropped(name.toLowerCase())).flat();
}

function refuse(response: ServerResponse, failure: unknown): void {
  if (response.headersSent) return void response.destroy();
  const { status, body } = describeProblem(failure);
  response.writeHead(status, { "content-type": "application/problem+json", connection: "close" }).end(body);
}

function refuseUpgrade(socket: Socket, failure: unknown): void {
  const { status, body } = describeProblem(failure);
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nContent-Type: application/problem+json`;
  socket.end(`${head}\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`);
}

function unreachable({ host, port }: Target, failure: unknown): Problem {
  return new Problem("routes.unreachable", { detail: `${host}:${port}: ${systemReason(failure)}.`, cause: failure });
}
