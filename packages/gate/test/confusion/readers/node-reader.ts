import { readRequestsWithNode } from "../../http1/node-reading.ts";
import type { Reading, UpstreamReader } from "./upstream-reader.ts";

export function openNodeReader(): UpstreamReader {
  return {
    name: "Node.js",
    read: (connections) => Promise.all(connections.map(readOne)),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

async function readOne(bytes: Buffer): Promise<Reading> {
  const { messages, error } = await readRequestsWithNode(bytes);
  return {
    hasRefused: error !== undefined,
    requests: messages
      .filter(({ isWhole }) => isWhole)
      .map(({ line, fields, body }) => {
        const [method = "", target = ""] = line.split(" ");
        const host = fields[fields.findIndex((name, at) => at % 2 === 0 && name.toLowerCase() === "host") + 1] ?? "";
        return { method, target, host, bodyBytes: body.length };
      }),
  };
}
