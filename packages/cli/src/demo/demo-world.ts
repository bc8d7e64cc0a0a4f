import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lifetime, Problem } from "@gatehouse/core";
import { childEnvironment, requestUnixOk, resolveEntry } from "@gatehouse/kit";
import { ALLOWED_HOST, DENIED_HOST, type FakeService, openFakeService } from "./fake-service.ts";
import { PROBE_PROGRAM, type ProbeTargets } from "./probe.ts";
import { openRouteTargets, type RouteTargets } from "./route-targets.ts";

/** Everything that the demo opened: a daemon over a fresh state directory, a fake service, listeners to knock at. */
export interface DemoWorld extends AsyncDisposable {
  readonly directory: string;
  readonly stateDir: string;
  readonly socketPath: string;
  readonly service: FakeService;
  readonly routes: RouteTargets;
  readonly workspace: string;
  readonly probePath: string;
  readonly caPath: string;
  /** The planted credential, and the value that the scanner must find. */
  readonly credential: string;
  readonly control: string;
  targets(who: ProbeTargets["who"]): ProbeTargets;
}

const READY_TIMEOUT_MS = 20_000;

export async function openDemoWorld(): Promise<DemoWorld> {
  const life = new Lifetime();
  try {
    const directory = await mkdtemp(join(tmpdir(), "gatehouse-demo-"));
    life.defer(() => rm(directory, { recursive: true, force: true }));
    const credential = `demo-${randomBytes(18).toString("hex")}`;
    const control = `control-${randomBytes(18).toString("hex")}`;
    const service = life.own(await openFakeService(credential));
    const routes = life.own(await openRouteTargets(directory));
    const stateDir = join(directory, "state");
    const workspace = join(directory, "workspace");
    await mkdir(workspace);
    const probePath = join(workspace, "probe.mjs");
    await writeFile(probePath, PROBE_PROGRAM);
    await writeFile(join(workspace, "control.txt"), control);
    const caPath = join(directory, "demo-ca.pem");
    await writeFile(caPath, service.caPem);
    const config = join(directory, "config.yaml");
    const hosts = `{ ${ALLOWED_HOST}: 127.0.0.1, ${DENIED_HOST}: 127.0.0.1 }`;
    await writeFile(config, `gate:\n  upstreamCa: ${caPath}\n  workers: 1\n  hosts: ${hosts}\nlog:\n  level: error\n`);
    const daemon = spawn(
      process.execPath,
      ["--disable-sigusr1", resolveEntry("gatehouse"), "up", "--json", "--state-dir", stateDir, "--config", config],
      { stdio: ["ignore", "pipe", "inherit"], env: childEnvironment() },
    );
    life.defer(() => stopDaemon(daemon));
    await untilReady(daemon);
    const socketPath = join(stateDir, "daemon.sock");
    const binding = { hosts: [`${ALLOWED_HOST}:${service.port}`], header: "Authorization", format: "Bearer {value}" };
    await requestUnixOk({
      socketPath,
      method: "POST",
      path: "/v1/grants",
      body: { name: "demo", bindings: [binding], value: credential },
    });
    return {
      directory,
      stateDir,
      socketPath,
      service,
      routes,
      workspace,
      probePath,
      caPath,
      credential,
      control,
      targets: (who) => ({
        who,
        allowedUrl: `https://${ALLOWED_HOST}:${service.port}/v1/me`,
        deniedUrl: `https://${DENIED_HOST}:${service.port}/`,
        tcpPort: routes.tcpPort,
        udpPort: routes.udpPort,
        unixPath: routes.unixPath,
        abstractName: routes.abstractName,
      }),
      [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

async function untilReady(daemon: ChildProcess): Promise<void> {
  const signal = AbortSignal.timeout(READY_TIMEOUT_MS);
  const ended = once(daemon, "exit", { signal }).then(() => {
    throw new Problem("daemon.unreachable", { detail: "The demo's daemon ended before it was ready." });
  });
  ended.catch(() => undefined); // it ends after the demo, which is no failure
  if (daemon.stdout !== null) await Promise.race([once(daemon.stdout, "data", { signal }), ended]);
}

async function stopDaemon(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  const ended = once(daemon, "exit");
  daemon.kill("SIGTERM");
  await ended;
}
