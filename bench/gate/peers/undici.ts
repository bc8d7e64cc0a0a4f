// node:http towards the client, undici's dispatcher towards the origin.
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import { createRequire } from "node:module";
import type { Readable } from "node:stream";
import { intercept } from "./intercept.ts";

interface Undici {
  readonly Agent: new (
    options: object,
  ) => {
    stream(
      options: object,
      factory: (answer: { statusCode: number; headers: IncomingHttpHeaders; opaque: ServerResponse }) => ServerResponse,
    ): Promise<unknown>;
  };
}

const { Agent } = createRequire(new URL("../outside/", import.meta.url))("undici") as Undici;
const agent = new Agent({ connect: { ca: readFileSync(process.argv[2] ?? "") } });
const origins = new WeakMap<object, string>();
const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding", "expect", "upgrade"]);

const server = createServer((incoming, outgoing) => {
  const headers = Object.fromEntries(Object.entries(incoming.headers).filter(([name]) => !HOP_BY_HOP.has(name)));
  headers.authorization = "Bearer real";
  const { method, url } = incoming;
  const body: Readable | null = method === "GET" ? null : incoming;
  const origin = origins.get(incoming.socket);
  agent
    .stream({ origin, method, path: url, headers, body, opaque: outgoing }, (answer) => {
      answer.opaque.writeHead(answer.statusCode, answer.headers);
      return answer.opaque;
    })
    .catch(() => outgoing.destroy());
});

intercept((stream, { host, port }) => {
  origins.set(stream, `https://${host}:${port}`);
  server.emit("connection", stream);
});
