import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SANDBOX_NODE, type World } from "@gatehouse/testbed";

/**
 * A program for the sandbox that speaks to the proxy by hand, because real clients tidy up what is to be tested. Takes
 * commands as JSON lines on its input and prints one JSON line for each:
 * `{connect, token?}` opens a tunnel and answers `{status, head, body}`;
 * `{tls, sni?}` starts TLS in it; `{send}` writes text and answers `{status, head, body}` or `{closed: true}`;
 * `{wait: true}` answers `{closed: true}` when the connection has ended.
 */
const PROGRAM = `
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { createInterface } from "node:readline";
import { readFileSync } from "node:fs";

const proxy = new URL(process.env.HTTPS_PROXY);
const ca = readFileSync(process.env.SSL_CERT_FILE);
let socket, received = Buffer.alloc(0), isClosed = false, wake = () => {};

function watch(next) {
  socket = next;
  received = Buffer.alloc(0);
  isClosed = false;
  socket.on("data", (part) => { received = Buffer.concat([received, part]); wake(); });
  socket.on("error", () => {});
  socket.on("close", () => { isClosed = true; wake(); });
}
const changed = () => new Promise((resolve) => { wake = resolve; });

async function answer(hasNoBody) {
  for (;;) {
    const end = received.indexOf("\\r\\n\\r\\n");
    if (end >= 0) {
      const head = received.subarray(0, end).toString("latin1");
      const length = Number(/^content-length: *(\\d+)/im.exec(head)?.[1] ?? 0);
      const status = Number(head.split(" ")[1]);
      const size = hasNoBody && status === 200 ? 0 : length;
      if (received.length >= end + 4 + size || isClosed) {
        const body = received.subarray(end + 4, end + 4 + size).toString("latin1");
        received = received.subarray(end + 4 + size);
        return { status, head, body };
      }
    } else if (isClosed) return { closed: true };
    await changed();
  }
}

const steps = {
  async connect({ connect: authority, token = decodeURIComponent(proxy.password) }) {
    watch(connect(Number(proxy.port), proxy.hostname));
    const auth = token === "" ? "" : "Proxy-Authorization: Basic " + btoa("run:" + token) + "\\r\\n";
    socket.write("CONNECT " + authority + " HTTP/1.1\\r\\nHost: " + authority + "\\r\\n" + auth + "\\r\\n");
    return answer(true);
  },
  async open() {
    watch(connect(Number(proxy.port), proxy.hostname));
    return { opened: true };
  },
  async tls({ sni }) {
    socket.removeAllListeners("data");
    const next = connectTls({ socket, ca, rejectUnauthorized: false, ALPNProtocols: ["http/1.1"], ...(sni ? { servername: sni } : {}) });
    return new Promise((resolve) => {
      next.once("error", () => resolve({ closed: true }));
      next.once("secureConnect", () => { watch(next); resolve({ secure: true, authorized: next.authorized }); });
    });
  },
  async send({ send }) { socket.write(send.replaceAll("{token}", decodeURIComponent(proxy.password))); return answer(false); },
  async wait() { while (!isClosed) await changed(); return { closed: true }; },
  async token() { return { token: decodeURIComponent(proxy.password) }; },
  async env({ env }) { return { value: process.env[env] ?? null }; },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  const step = Object.keys(steps).find((name) => name in command);
  console.log(JSON.stringify(await steps[step](command)));
}
`;

/** What one step came to. */
export interface RawAnswer {
  readonly status?: number;
  readonly head?: string;
  readonly body?: string;
  readonly closed?: boolean;
  readonly secure?: boolean;
  readonly authorized?: boolean;
  readonly token?: string;
  readonly value?: string | null;
}

/** The program, running in a sandbox. */
export interface RawProxyClient extends AsyncDisposable {
  /** Does one step and returns its answer. */
  step(command: Readonly<Record<string, unknown>>): Promise<RawAnswer>;
}

const STEP_MS = 8_000;

/** Starts it in a run of its own. */
export async function startRawClient(
  world: World,
  options: Parameters<World["startRun"]>[1] = {},
): Promise<RawProxyClient> {
  await writeFile(join(world.paths.workspace, "raw-client.mjs"), PROGRAM);
  const running = world.startRun([SANDBOX_NODE, "raw-client.mjs"], options);
  let steps = 0;
  return {
    step: async (command) => {
      const index = steps;
      steps += 1;
      running.write(`${JSON.stringify(command)}\n`);
      await running.line(`the answer to ${JSON.stringify(command)}`, () => running.lines.length > index, STEP_MS);
      return JSON.parse(running.lines[index] ?? "{}") as RawAnswer;
    },
    [Symbol.asyncDispose]: async () => {
      running.endInput();
      // The gate may still hold a connection of the program; what was asked has been answered.
      running.kill("SIGTERM");
      await running.finished;
    },
  };
}

/** A GET as text, its Host stated. */
export function get(host: string, path: string = "/", fields: readonly string[] = []): string {
  return [`GET ${path} HTTP/1.1`, `Host: ${host}`, ...fields, "", ""].join("\r\n");
}
