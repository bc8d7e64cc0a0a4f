import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Problem, systemClock, systemRandom } from "@gatehouse/core";
import { createLog, openDaemonLock, openStateDirectory, parseServerUrl } from "@gatehouse/kit";
import { openServer, type StoreLocation } from "@gatehouse/server";
import { buildInfo } from "../build-info.ts";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import { readOidc } from "../server/read-oidc.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

const DEFAULT_LISTEN = "127.0.0.1:8443";
const DEFAULT_METRICS_PORT = 9_464;
const EVERY_ADDRESS: ReadonlySet<string> = new Set(["0.0.0.0", "::"]);

/** Runs the control plane in this process until it is asked to stop. */
export async function server(invocation: Invocation): Promise<number> {
  const { config } = invocation;
  const { host, port } = parseListen(textOption(invocation, "listen") ?? DEFAULT_LISTEN);
  const asked = textOption(invocation, "url");
  if (asked === undefined && EVERY_ADDRESS.has(host)) {
    throw new Problem("usage.invalid", {
      detail: "--url is needed to listen on every address: nodes must know a name.",
    });
  }
  const stopped = Promise.withResolvers<void>();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stopped.resolve());
  const state = await openStateDirectory(config.state.dir);
  const directory = state.file("server");
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await using _ = await openDaemonLock(directory, {
    pid: process.pid,
    proxy_port: 0,
    sock_path: "",
    started_at: new Date(systemClock.now()).toISOString(),
    commit: buildInfo().commit,
  });
  const log = createLog({ level: config.log.level, format: config.log.format });
  const url = asked === undefined ? undefined : parseServerUrl(asked);
  const store = await storeLocation(invocation, directory);
  const setupCodeFile = state.file("setup-code");
  const oidc = await readOidc(config);
  const { passwords } = config.people;
  const hasPasswords = passwords === "on" || (passwords === "auto" && oidc === undefined);
  const metrics = metricsOf(invocation);
  const options = { directory, setupCodeFile, host, port, url, store, oidc, hasPasswords, metrics };
  await using running = await openServer(options, { log, clock: systemClock, random: systemRandom });
  if (isSet(invocation, "json")) {
    const { url: origin, port: at, metricsPort } = running;
    printJson({ ready: true, url: origin, port: at, metrics_port: metricsPort, pid: process.pid });
  } else {
    printLine(`${colour("The Gatehouse server is up", "bold")} at ${running.url}.`);
    printLine(
      `To make an organisation: gatehouse org init --server ${running.url} --setup-code-file ${setupCodeFile} …`,
    );
  }
  await stopped.promise;
  return 0;
}

/** Where the rows are: the embedded database, or the PostgreSQL whose URL stands in a file. */
export async function storeLocation(invocation: Invocation, directory: string): Promise<StoreLocation> {
  const file = textOption(invocation, "databaseUrlFile");
  if (file === undefined) return { kind: "sqlite", path: join(directory, "server.db") };
  try {
    return { kind: "postgres", url: (await readFile(file, "utf8")).trim() };
  } catch (cause) {
    throw new Problem("usage.invalid", { detail: `${file} cannot be read.`, cause });
  }
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
