import { join } from "node:path";
import { Lifetime, Problem, systemClock, systemRandom } from "@gatehouse/core";
import {
  type Log,
  openDaemonLock,
  openStateDirectory,
  parseServerUrl,
  readPrivateFile,
  writeFileAtomic,
} from "@gatehouse/kit";
import { openServer, type Server } from "@gatehouse/server";
import { buildInfo } from "../build-info.ts";
import { type Invocation, textOption } from "../invocation.ts";
import { readOidc } from "./read-oidc.ts";
import { storeLocation } from "./store-location.ts";

const DEFAULT_LISTEN = "127.0.0.1:8443";
const DEFAULT_METRICS_PORT = 9_464;
const EVERY_ADDRESS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** The control plane over a state directory, which is its own while it runs. */
export interface ControlPlane extends Server {
  /** Where the first set-up code is, until it has served. */
  readonly setupCodeFile: string;
}

/** Opens it as the options say. What is wrong with them is said before anything is opened. */
export async function openControlPlane(invocation: Invocation, log: Log): Promise<ControlPlane> {
  const { config } = invocation;
  const { host, port } = parseListen(textOption(invocation, "listen") ?? DEFAULT_LISTEN);
  const asked = textOption(invocation, "url") ?? (await keptUrl(config.state.dir));
  if (asked === undefined && EVERY_ADDRESS.has(host)) {
    throw new Problem("usage.invalid", {
      detail: "--url is needed to listen on every address: nodes must know a name.",
    });
  }
  const url = asked === undefined ? undefined : parseServerUrl(asked);
  const metrics = metricsOf(invocation);
  const oidc = await readOidc(config);
  const { passwords } = config.people;
  const hasPasswords = passwords === "on" || (passwords === "auto" && oidc === undefined);
  const state = await openStateDirectory(config.state.dir);
  const directory = await state.directory("server");
  const life = new Lifetime();
  try {
    life.own(await lockDirectory(directory));
    const store = await storeLocation(invocation, directory);
    const setupCodeFile = state.file("setup-code");
    const { retention } = config;
    const options = { directory, setupCodeFile, host, port, url, store, oidc, hasPasswords, retention, metrics };
    const server = life.own(await openServer(options, { log, clock: systemClock, random: systemRandom }));
    if (url !== undefined) await writeFileAtomic(join(directory, KEPT_URL), `${url}\n`);
    const { url: origin, port: at, metricsPort, isEmpty } = server;
    const facts = { url: origin, port: at, metricsPort, isEmpty, setupCodeFile };
    return { ...facts, [Symbol.asyncDispose]: () => life[Symbol.asyncDispose]() };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

/** By which nodes and operators reach the server since `--url` was given last: they trust no other. */
const KEPT_URL = "url";

async function keptUrl(stateDir: string): Promise<string | undefined> {
  return (await readPrivateFile(join(stateDir, "server", KEPT_URL)))?.toString().trim();
}

function lockDirectory(directory: string) {
  return openDaemonLock(directory, {
    pid: process.pid,
    proxy_port: 0,
    sock_path: "",
    started_at: new Date(systemClock.now()).toISOString(),
    commit: buildInfo().commit,
  });
}

/** The default gives way to a free port; one that was asked for does not. */
function metricsOf(invocation: Invocation): { readonly port: number; readonly isExplicit: boolean } {
  const asked = textOption(invocation, "metricsPort");
  if (asked === undefined) return { port: DEFAULT_METRICS_PORT, isExplicit: false };
  if (!/^\d{1,5}$/.test(asked) || Number(asked) > 65_535) {
    throw new Problem("usage.invalid", { detail: "--metrics-port takes a port." });
  }
  return { port: Number(asked), isExplicit: true };
}

function parseListen(text: string): { readonly host: string; readonly port: number } {
  const [, bracketed, plain, port] = /^(?:\[([0-9a-fA-F:]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) {
    throw new Problem("usage.invalid", { detail: `--listen takes host:port, not ${text.slice(0, 60)}.` });
  }
  return { host, port: Number(port) };
}
