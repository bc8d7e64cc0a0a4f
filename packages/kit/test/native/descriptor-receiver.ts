// Takes a listening descriptor from the socket in its first argument and serves "second process" on it.
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { native } from "../../src/index.ts";

const descriptor = await native.receiveDescriptor(process.argv[2] ?? "", '{"op":"take-listener"}', 2_000);
const server = createServer((socket) => socket.end("second process"));
server.listen({ fd: descriptor }, () => process.stdout.write(`${readdirSync("/proc/self/fd").length}\n`));
