import { Agent, request as askHttp, createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { connect } from "node:net";
import { connect as connectTls } from "node:tls";
import { openLogSource, verifyLog } from "@gatehouse/kit";
import type { FakeApi } from "@gatehouse/testbed";
import { expect } from "vitest";
import type { GateConfig, Predecessor } from "../../src/holder/gate-protocol.ts";
import { runAsking, serviceConfig } from "./faults.ts";
import { type HolderProcess, type HolderState, openHolderState, sandboxRun } from "./holder-process.ts";

const VALUE = "planted-0123456789abcdefghijklmnop";

/** A key-holder with a run, a tunnel of it that asks without pause, and all that was answered with the credential. */
export interface AskingWorld extends AsyncDisposable {
  readonly state: HolderState;
  readonly config: Partial<GateConfig>;
  readonly first: HolderProcess;
  /** A run of the same policy in which nothing happens. */
  readonly idleRunId: string;
  /** Path → when it was answered. */
  readonly answered: ReadonlyMap<string, number>;
  /** Resolves with the next answer in the tunnel, or its end. */
  next(): Promise<void>;
  stop(): Promise<void>;
}

export async function openAskingWorld(api: FakeApi, { tunnels = 1 } = {}): Promise<AskingWorld> {
  const state = await openHolderState();
  const config = await serviceConfig(state);
  const first = await state.start({ config });
  const host = `api.example.test:${api.port}`;
  const bindings = [{ hosts: [host], header: "Authorization", format: "Bearer {value}" }];
  await first.request("POST", "/v1/grants", { name: "g1", bindings, value: VALUE });
  const run = runAsking(host, { grants: ["g1"] });
  const { token, proxyPort } = await first.call("startRun", run);
  const { runId: idleRunId } = sandboxRun({ runId: "idle" });
  await first.call("startRun", { ...run, runId: idleRunId });
  const answered = new Map<string, number>();
  const each = await Promise.all(
    Array.from({ length: tunnels }, async (_, number) => {
      const tunnel = await openTunnel({ token, proxyPort, host });
      return keepAsking(tunnel, { name: `asked-${number}`, answered });
    }),
  );
  const asking = {
    next: () => Promise.race(each.map((one) => one.next())),
    stop: async () => void (await Promise.all(each.map((one) => one.stop()))),
  };
  await asking.next();
  return {
    state,
    config,
    first,
    idleRunId,
    answered,
    next: asking.next,
    stop: asking.stop,
    [Symbol.asyncDispose]: async () => {
      await asking.stop();
      await state[Symbol.asyncDispose]();
    },
  };
}

/** A tunnel of a run to the service, through which one asks for one thing after the other. */
export interface Tunnel {
  ask(path: string): Promise<TunnelAnswer>;
  close(): void;
}

interface TunnelAnswer {
  /** 0: the tunnel is closed. */
  readonly status: number;
  /** Why the gate refused. */
  readonly denied?: string | undefined;
}

interface TunnelPlace {
  readonly token: string;
  readonly proxyPort: number;
  readonly host: string;
}

export async function openTunnel({ token, proxyPort, host }: TunnelPlace): Promise<Tunnel> {
  const socket = connect(proxyPort, "127.0.0.1");
  const auth = Buffer.from(`run:${token}`).toString("base64");
  socket.write(`CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\nProxy-Authorization: Basic ${auth}\r\n\r\n`);
  await new Promise((resolve) => socket.once("data", resolve));
  const tunnel = connectTls({ socket, servername: "api.example.test", rejectUnauthorized: false });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  agent.createConnection = () => tunnel;
  const closed = new Promise<TunnelAnswer>((resolve) => tunnel.once("close", () => resolve({ status: 0 })));
  return {
    ask: (path) => Promise.race([closed, ask({ agent, path, host }).catch(() => ({ status: 0 }))]),
    close: () => {
      agent.destroy();
      tunnel.destroy();
    },
  };
}

interface Asked {
  readonly name: string;
  readonly answered: Map<string, number>;
}

function keepAsking(tunnel: Tunnel, { name, answered }: Asked) {
  let isStopped = false;
  let told = Promise.withResolvers<void>();
  const loop = (async () => {
    for (let number = 0; !isStopped; number += 1) {
      const path = `/${name}-${number}`;
      const { status } = await tunnel.ask(path);
      if (status === 200) answered.set(path, performance.now());
      if (status === 0) break;
      told.resolve();
      told = Promise.withResolvers();
    }
    isStopped = true;
    told.resolve();
  })();
  return {
    next: () => (isStopped ? Promise.resolve() : told.promise),
    stop: async () => {
      isStopped = true;
      await loop;
      tunnel.close();
    },
  };
}

function ask({ agent, path, host }: { readonly agent: Agent; readonly path: string; readonly host: string }) {
  return new Promise<TunnelAnswer>((resolve, reject) => {
    const sent = askHttp({ agent, path, headers: { host } }, (answer) => {
      const denied = answer.headers["x-gatehouse-denied"]?.toString();
      answer.once("error", reject);
      answer.once("end", () => resolve({ status: answer.statusCode ?? 0, denied }));
      answer.resume();
    });
    sent.once("error", reject);
    sent.end();
  });
}

/** Has it hand over, as its successor asks. */
export async function handOver(first: HolderProcess): Promise<Predecessor> {
  const { status, body } = await first.request("POST", "/v1/handover");
  expect(status).toBe(200);
  const { control, proxy_port, listeners } = body as Predecessor & { readonly proxy_port: number };
  // The one it names is the parent: this process. A predecessor that does not follow is ended.
  return { pid: first.child.pid ?? 0, control, proxyPort: proxy_port, listeners };
}

/** Where in the hand-over something is done: before the predecessor hears a message, or before its answer is heard. */
export interface Moment {
  readonly message: string;
  readonly when: "before it is heard" | "before its answer is heard";
}

/** A way between the successor and the control socket on which something happens at one moment. */
export interface Relay extends AsyncDisposable {
  readonly predecessor: Predecessor;
  /** Resolves when the moment has come. */
  readonly begun: Promise<void>;
  /** Resolves when what is done then has been done. */
  readonly acted: Promise<void>;
}

/** What is done at the moment: the message, or its answer, then goes no further. `cut` tells who sent it that it is lost. */
export type Act = (cut: () => void) => Promise<void> | void;

export async function openRelay(
  { state, predecessor }: { readonly state: HolderState; readonly predecessor: Predecessor },
  { message, when }: Moment,
  act: Act,
): Promise<Relay> {
  const path = state.file(`keepers/relay-${performance.now()}.sock`);
  const [begun, acted] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isReached = false;
  const reach = async (response: ServerResponse) => {
    isReached = true;
    begun.resolve();
    await act(() => response.destroy());
    acted.resolve();
  };
  const relay = createServer((request, response) => {
    const isHere = !isReached && request.url === `/${message}`;
    if (isHere && when === "before it is heard") return void reach(response);
    const forwarded = askHttp({
      socketPath: predecessor.control,
      path: request.url,
      method: request.method,
      // The other side must not hang up first: the end of a body on its way to a closed Unix socket is EPIPE, and the
      // answer would be lost with it.
      headers: { ...request.headers, connection: "keep-alive" },
      agent: false,
    });
    forwarded.once("error", () => response.destroy());
    response.once("close", () => forwarded.destroy());
    forwarded.once("response", (answer) => {
      if (isHere && request.url !== "/follow") return void reach(response);
      response.writeHead(answer.statusCode ?? 0, answer.headers);
      passOn(answer, response, async (line) => {
        const isGroup = message === "group" && line.includes('"group"');
        const isFollowing = message === "follow" && line.includes('"following"');
        if (isReached || !(isGroup || isFollowing)) return true;
        if (when === "before its answer is heard") response.write(`${line}\n`);
        await reach(response);
        return false;
      });
    });
    request.pipe(forwarded);
  });
  await new Promise<void>((resolve) => relay.listen(path, resolve));
  return {
    predecessor: { ...predecessor, control: path },
    begun: begun.promise,
    acted: acted.promise,
    [Symbol.asyncDispose]: async () => {
      relay.closeAllConnections();
      await new Promise((resolve) => relay.close(resolve));
    },
  };
}

/** Line by line, since a moment may be a line of the stream. */
function passOn(answer: IncomingMessage, response: ServerResponse, mayPass: (line: string) => Promise<boolean>): void {
  let rest = "";
  let passing: Promise<unknown> = Promise.resolve();
  answer.on("data", (part: Buffer) => {
    const lines = (rest + part.toString()).split("\n");
    rest = lines.pop() ?? "";
    passing = passing.then(async () => {
      for (const line of lines) if (await mayPass(line)) response.write(`${line}\n`);
    });
  });
  answer.once("error", () => response.destroy());
  answer.once("end", () => void passing.then(() => response.end()));
}

/** How often each path stands in the verified log as one to which the credential went. */
export async function injectedIn(state: HolderState): Promise<ReadonlyMap<string, number>> {
  const found = new Map<string, number>();
  for (const { kind, data } of await entriesIn(state)) {
    if (kind !== "request.injected") continue;
    const { pathname } = new URL(String(data.url));
    found.set(pathname, (found.get(pathname) ?? 0) + 1);
  }
  return found;
}

interface Entry {
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The entries of the log, which must verify. */
export async function entriesIn(state: HolderState): Promise<readonly Entry[]> {
  const source = await openLogSource(state.directory);
  await verifyLog(source);
  const found: Entry[] = [];
  for await (const part of source.read()) {
    const lines = "lines" in part ? part.lines : [];
    found.push(...lines.map((line) => JSON.parse(line)).filter(({ kind }) => kind !== undefined));
  }
  return found;
}
