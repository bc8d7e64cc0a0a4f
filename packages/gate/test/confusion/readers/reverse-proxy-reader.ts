import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { eventually } from "@gatehouse/testbed";
import type { Reading, SeenRequest, UpstreamReader } from "./upstream-reader.ts";

/** How a program is started as a reverse proxy; every path lies in a directory of its own. */
interface ReverseProxy {
  readonly name: string;
  readonly command: string;
  arguments(configFile: string, directory: string): readonly string[];
  config(place: { readonly directory: string; readonly listen: string; readonly backend: string }): string;
}

export const NGINX_PROGRAM = "/usr/sbin/nginx";
export const HAPROXY_PROGRAM = "/usr/sbin/haproxy";

const NGINX: ReverseProxy = {
  name: "nginx",
  command: NGINX_PROGRAM,
  arguments: (file, directory) => ["-c", file, "-p", directory, "-e", join(directory, "error.log")],
  config: ({ directory, listen, backend }) => `
daemon off;
master_process off;
pid ${directory}/pid;
events { worker_connections 256; }
http {
  access_log off;
  client_header_buffer_size 128k;
  large_client_header_buffers 8 128k;
  client_body_temp_path ${directory}/body;
  proxy_temp_path ${directory}/proxy;
  fastcgi_temp_path ${directory}/fastcgi;
  uwsgi_temp_path ${directory}/uwsgi;
  scgi_temp_path ${directory}/scgi;
  server {
    listen unix:${listen};
    location / {
      proxy_pass http://unix:${backend}:;
      proxy_set_header Host $http_host;
    }
  }
}
`,
};

const HAPROXY: ReverseProxy = {
  name: "HAProxy",
  command: HAPROXY_PROGRAM,
  arguments: (file) => ["-db", "-q", "-f", file],
  config: ({ listen, backend }) => `
global
  tune.bufsize 131072
  tune.http.maxhdr 256
defaults
  mode http
  timeout client 10s
  timeout server 10s
  timeout connect 5s
  timeout http-request 5s
frontend in
  bind unix@${listen}
  option http-buffer-request
  default_backend out
backend out
  server one unix@${backend}
`,
};

export const openNginxReader = () => openReverseProxyReader(NGINX);
export const openHaproxyReader = () => openReverseProxyReader(HAPROXY);

/** Asked last, so that the proxy says by itself that it read everything. */
const LAST = "GET /the-last-of-all HTTP/1.1\r\nHost: last.test\r\nConnection: close\r\n\r\n";

/** A reverse proxy reads a request and writes it anew: what arrives behind it is what it understood. */
async function openReverseProxyReader(proxy: ReverseProxy): Promise<UpstreamReader> {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-reader-"));
  const listen = join(directory, "in.sock");
  const path = join(directory, "out.sock");
  const backend = await openBackend(path);
  const configFile = join(directory, "config");
  await writeFile(configFile, proxy.config({ directory, listen, backend: path }));
  const child = spawn(proxy.command, proxy.arguments(configFile, directory), { stdio: "inherit" });
  await eventually(`${proxy.name} to listen`, () => canConnect(listen));
  const readOne = async (bytes: Buffer): Promise<Reading> => {
    backend.seen.length = 0;
    const answers = await converse(listen, Buffer.concat([bytes, Buffer.from(LAST)]));
    const isRead = backend.seen.at(-1)?.target === "/the-last-of-all";
    return { requests: isRead ? backend.seen.slice(0, -1) : [...backend.seen], hasRefused: !isRead && answers !== "" };
  };
  return {
    name: proxy.name,
    read: async (connections) => {
      const readings: Reading[] = [];
      for (const bytes of connections) readings.push(await readOne(bytes));
      return readings;
    },
    [Symbol.asyncDispose]: async () => {
      await end(child);
      await backend[Symbol.asyncDispose]();
      await rm(directory, { recursive: true });
    },
  };
}

async function openBackend(path: string): Promise<AsyncDisposable & { readonly seen: SeenRequest[] }> {
  const seen: SeenRequest[] = [];
  const take = async (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const bodyBytes = (await buffer(incoming)).length;
    const { method = "", url = "", headers } = incoming;
    seen.push({ method, target: url, host: headers.host ?? "", bodyBytes });
    outgoing.end("ok");
  };
  const server = createServer({ maxHeaderSize: 131_072 }, (incoming, outgoing) => {
    take(incoming, outgoing).catch(() => outgoing.destroy());
  });
  server.listen(path);
  await once(server, "listening");
  return {
    seen,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Everything that was answered until the other side closed. */
async function converse(path: string, bytes: Buffer): Promise<string> {
  const socket = connect(path);
  let answers = "";
  socket.on("data", (chunk: Buffer) => {
    answers += chunk.toString("latin1");
  });
  socket.on("error", () => undefined);
  socket.write(bytes);
  await once(socket, "close");
  return answers;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  await once(child, "exit");
}
