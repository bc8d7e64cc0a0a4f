// What is written first: node:http on both sides, with a kept-alive agent.
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { Agent, request } from "node:https";
import { intercept } from "./intercept.ts";

const agent = new Agent({ keepAlive: true, ca: readFileSync(process.argv[2] ?? "") });
const places = new WeakMap<object, { host: string; port: number }>();
const server = createServer((incoming, outgoing) => {
  const { host, port } = places.get(incoming.socket) ?? { host: "", port: 0 };
  const headers = { ...incoming.headers, authorization: "Bearer real" };
  const { method, url } = incoming;
  const upstream = request({ agent, host, port, method, path: url, headers }, (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  });
  upstream.on("error", () => outgoing.destroy());
  incoming.pipe(upstream);
});

intercept((stream, place) => {
  places.set(stream, place);
  server.emit("connection", stream);
});
