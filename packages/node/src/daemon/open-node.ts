import { dirname } from "node:path";
import { Lifetime, systemClock } from "@gatehouse/core";
import type { GateConfig } from "@gatehouse/gate";
import {
  type Config,
  defaultConfigFile,
  type Health,
  type Log,
  type MetricsOptions,
  type MetricsServer,
  openDaemonLock,
  openStateDirectory,
  parseListenAddress,
  type StateDirectory,
  serveMetrics,
  serveUnix,
} from "@gatehouse/kit";
import { sweepWorkspaces } from "../commands/private-workspace.ts";
import { openLocalPage } from "../local-page/open-local-page.ts";
import { StopAll } from "../local-page/stop-all.ts";
import { type NodeFacts, renderNodeMetrics } from "../metrics/node-metrics.ts";
import { Routes, type RoutesOptions } from "../routes/routes.ts";
import { ExecFiles } from "../runs/exec-files.ts";
import { Execs } from "../runs/execs.ts";
import { RunFiles } from "../runs/run-files.ts";
import { Sandboxes } from "../runs/sandboxes.ts";
import { ownPrograms, socketsOf } from "../runs/workspace.ts";
import type { DriverName } from "../sandbox/driver.ts";
import { ENFORCES } from "../sandbox/driver.ts";
import { Drivers } from "../sandbox/drivers.ts";
import { probeDriver } from "../sandbox/probe.ts";
import { NodeFiles } from "../uplink/node-files.ts";
import { openUplink, type UplinkParts } from "../uplink/open-uplink.ts";
import type { Uplink } from "../uplink/uplink.ts";
import { boundLog } from "./bound-log.ts";
import { execRoutes } from "./exec-routes.ts";
import { GateLink } from "./gate-link.ts";
import { lookOften } from "./look-often.ts";
import { openNodeHealth } from "./node-health.ts";
import { nodeRoutes } from "./node-routes.ts";
import { Succession } from "./succession.ts";
import { takeOver } from "./take-over.ts";

export interface NodeDeps {
  readonly log: Log;
  /** Commit of this build. */
  readonly commit: string;
  /** Joins the server that this host belongs to. Fails with `enroll.not_enrolled` when it belongs to none. */
  readonly joinsServer: boolean;
  /** Takes over from the daemon that runs, which hands its listeners over and lets its connections end. */
  readonly takesOver: boolean;
  /** Started by a command for its own use: ends when it has had no runs for a while. */
  readonly endsWhenEmpty: boolean;
  readonly onShutdownRequested: () => void;
}

/** The host daemon. Disposing stops the gate; runs go on waiting for the next daemon. */
export interface Node extends AsyncDisposable {
  readonly stateDir: string;
  readonly proxyPort: number;
  /** Loopback port of `/metrics` and of health. */
  readonly metricsPort: number;
  readonly runCount: number;
}

const LOOK_EVERY_MS = 5_000;
/** Directories below the state directory that any of its processes writes into. */
const STATE_FOLDERS = ["audit", "ca", "credentials", "fleet", "keepers", "records", "runs", "spool"] as const;

/** Opens state directory, lock, gate, runs and the daemon's socket, in this order. */
export async function openNode(config: Config, deps: NodeDeps): Promise<Node> {
  const life = new Lifetime();
  try {
    const { log, commit } = deps;
    const startedAt = systemClock.now();
    const state = await openState(config.state.dir, deps);
    const taken = deps.takesOver ? await takeOver(state.file("daemon.sock")) : undefined;
    const endsWhenEmpty = deps.endsWhenEmpty && (taken?.endsWhenEmpty ?? true);
    const lock = life.own(await takeState(state, { startedAt, commit }));
    let proxyPort = 0;
    let routes: Routes | undefined;
    const requestShutdown = deps.onShutdownRequested;
    const succession = new Succession({ lock, routes: () => routes, requestShutdown });
    const uplink = () => succession.uplink;
    const gate = life.own(
      new GateLink({
        config: { ...gateConfig(config, state.path), commit, endsWhenEmpty, predecessor: taken?.predecessor },
        log,
        onShutdownRequested: requestShutdown,
        onLetGo: () => succession.letGo(),
        onTakeBack: () => succession.takeBack(),
        onGone: () => succession.gateGone(),
        onEmpty: () => {
          if (!endsWhenEmpty) return;
          log.info("no runs for a while: the daemon ends");
          requestShutdown();
        },
        onReady: async (port) => {
          if (port === proxyPort) return;
          proxyPort = port;
          await lock.update({ proxy_port: port });
        },
      }),
    );
    await gate.start();
    const files = new RunFiles(state.path);
    const stateDir = state.path;
    const { sandboxes, execs } = await openRuns(config, { gate, files, log, stateDir, takesOver: deps.takesOver });
    const health = openNodeHealth(gate, stateDir);
    const status = () => describeNode({ health, gate, sandboxes, startedAt, commit, stateDir, uplink: uplink() });
    const stopAll = new StopAll({ sandboxes, gate, log });
    routes = life.own(await openRoutes(config, { stateDir: state.path, gatePort: () => proxyPort, log }));
    const api = [...nodeRoutes({ sandboxes, files, status, stopAll }), ...execRoutes(execs), ...routes.api()];
    life.own(
      await serveUnix({ socketPath: state.file("node.sock"), routes: api, log, signal: life.signal, replaces: true }),
    );
    const sandboxStates = () => sandboxes.list().map(({ state: one }) => one);
    const serveMore = await openLocalPage({ stateDir, health, sandboxes, stopAll, uplink });
    const metrics = life.own(
      await openMetrics(config, { ...deps, health, gate, startedAt, sandboxStates, serveMore, uplink }),
    );
    await gate.announceNode();
    const joined = { state, sandboxes, execs, files, gate, health, log, commit };
    if (deps.joinsServer) await succession.join(async () => life.own(await joinServer(config, joined)));
    health.setReady();
    lookAfter(life, { sandboxes, execs, succession, log, logPath: state.file("daemon.log") });
    return {
      stateDir: state.path,
      proxyPort,
      metricsPort: metrics.port,
      runCount: sandboxes.list().filter(({ state: one }) => one !== "exited").length,
      [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
    };
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

interface DescribedNode {
  readonly health: Health;
  readonly gate: GateLink;
  readonly sandboxes: Sandboxes;
  readonly startedAt: number;
  readonly commit: string;
  readonly stateDir: string;
  readonly uplink: Uplink | undefined;
}

async function describeNode({ health, gate, sandboxes, uplink, ...node }: DescribedNode): Promise<object> {
  const { startedAt, commit, stateDir } = node;
  return {
    health: await health.report(),
    pid: process.pid,
    commit,
    started_at: new Date(startedAt).toISOString(),
    state_dir: stateDir,
    gate: await gate.call("status", null),
    runs: sandboxes.list().length,
    drivers: await describeDrivers(),
    server: await uplink?.describe(),
  };
}

interface JoinParts extends Pick<UplinkParts, "sandboxes" | "execs" | "files" | "gate" | "health" | "log"> {
  readonly state: StateDirectory;
  readonly commit: string;
}

function joinServer({ node }: Config, { state, commit, ...parts }: JoinParts): Promise<Uplink> {
  const { commandDrivers: drivers, localDestinations, workspaceRoots } = node;
  const own = { stateDir: state.path, journalFile: state.file("journal.db"), softwareVersion: commit };
  return openUplink({ ...own, ...parts, clock: systemClock, ceiling: { drivers, localDestinations, workspaceRoots } });
}

interface LookedAfter {
  readonly sandboxes: Sandboxes;
  readonly execs: Execs;
  readonly succession: Succession;
  readonly log: Log;
  readonly logPath: string;
}

function lookAfter(life: Lifetime, { sandboxes, execs, succession, log, logPath }: LookedAfter): void {
  const look = async () => {
    const older = boundLog({ path: logPath, fd: 2 });
    if (older === "lost") log.warn("there was no room for the older part of the log");
    if (succession.hasLetGo) return;
    await sandboxes.reconcile();
    await execs.reconcile();
  };
  life.run((signal) => lookOften({ look, everyMs: LOOK_EVERY_MS, log }, signal));
  // After a hand-over there is no uplink: the successor tells.
  life.defer(() => succession.uplink?.sayLast());
}

function takeState(
  state: StateDirectory,
  { startedAt, commit }: { readonly startedAt: number; readonly commit: string },
) {
  return openDaemonLock(state.path, {
    pid: process.pid,
    proxy_port: 0,
    sock_path: state.file("daemon.sock"),
    started_at: new Date(startedAt).toISOString(),
    commit,
  });
}

function openRoutes(config: Config, parts: Pick<RoutesOptions, "stateDir" | "gatePort" | "log">): Promise<Routes> {
  return Routes.open({ ...parts, port: config.routes.port, mayMove: config.sources["routes.port"] === "default" });
}

type MetricsParts = NodeFacts &
  Pick<NodeDeps, "takesOver" | "log"> &
  Required<Pick<MetricsOptions, "health" | "serveMore">>;

/** Metrics, health and the host's own page on loopback; says so when they are not where they are expected. */
async function openMetrics(
  { metrics: { port }, sources }: Config,
  { takesOver, log, health, serveMore, ...facts }: MetricsParts,
): Promise<MetricsServer> {
  const server = await serveMetrics({
    port,
    // The predecessor still has the port: that must not keep this daemon from serving.
    isExplicit: !takesOver && sources["metrics.port"] !== "default",
    health,
    serveMore,
    render: () => renderNodeMetrics(facts),
    onFault: (failure) => log.error("metrics could not be served", { failure }),
  });
  if (server.port !== port) log.info("metrics and health are on another port", { port: server.port });
  return server;
}

interface SandboxParts {
  readonly gate: GateLink;
  readonly files: RunFiles;
  readonly log: Log;
  readonly stateDir: string;
  readonly takesOver: boolean;
}

async function openRuns(config: Config, { gate, files, log, stateDir, takesOver }: SandboxParts) {
  const own = {
    stateDir,
    configDir: dirname(defaultConfigFile(process.env)),
    sockets: socketsOf(process.env),
    programs: ownPrograms(),
  };
  await sweepWorkspaces({ ceiling: config.node, files });
  const drivers = new Drivers(probeDriver, config.node.driver === "auto" ? undefined : config.node.driver);
  const sandboxes = await Sandboxes.open({ gate, files, clock: systemClock, log, own, drivers, takesOver });
  const execFiles = new ExecFiles(files);
  return {
    sandboxes,
    execs: await Execs.open({ stateDir, sandboxes, files: execFiles, gate, clock: systemClock, log }),
  };
}

/** Makes or checks every directory before anything is read or written: a link among them would lead elsewhere. */
async function openState(path: string, { joinsServer }: Pick<NodeDeps, "joinsServer">): Promise<StateDirectory> {
  const state = await openStateDirectory(path);
  // Before there is a process that had to be ended again.
  if (joinsServer) await new NodeFiles(state.path).require();
  for (const name of STATE_FOLDERS) await state.directory(name);
  return state;
}

async function describeDrivers(): Promise<object> {
  const names: readonly DriverName[] = ["bubblewrap", "unshare", "process"];
  const rows = await Promise.all(
    names.map(async (name) => [name, { ...(await probeDriver(name)), enforces: ENFORCES[name] }] as const),
  );
  return Object.fromEntries(rows);
}

function gateConfig(config: Config, stateDir: string): Omit<GateConfig, "commit" | "endsWhenEmpty" | "predecessor"> {
  return {
    stateDir,
    port: config.gate.port,
    listen: config.gate.listen.flatMap((text) => parseListenAddress(text) ?? []),
    engines: config.gate.engines,
    workers: config.gate.workers,
    emptyAfterMs: config.node.emptyTimeoutMs,
    upstreamCaFile: config.gate.upstreamCa,
    hosts: config.gate.hosts,
    connectTimeoutMs: config.gate.connectTimeoutMs,
    upstreamTimeoutMs: config.gate.upstreamTimeoutMs,
    idleTimeoutMs: config.gate.idleTimeoutMs,
    exposesCredentials: config.node.exposeCredentials,
    stalenessBoundMs: config.node.stalenessBoundMs,
    recordsMaxBytes: config.records.maxBytes,
    recordsMaxFiles: config.records.maxFiles,
    logLevel: config.log.level,
    logFormat: config.log.format,
  };
}
