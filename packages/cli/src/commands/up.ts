import { Problem } from "@gatehouse/core";
import { createLog, type Log, native } from "@gatehouse/kit";
import { type Node, openNode } from "@gatehouse/node";
import { buildInfo } from "../build-info.ts";
import { type Invocation, isSet, textOption } from "../invocation.ts";
import type { ControlPlane } from "../server/open-control-plane.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

/** Runs the daemon in this process until it is asked to stop; with --listen a server for further hosts beside it. */
export async function up(invocation: Invocation): Promise<number> {
  native.keepMemoryPrivate();
  const { config } = invocation;
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, stop);
  const isJson = isSet(invocation, "json");
  const log = createLog({ level: isJson ? config.log.level : quieter(config.log.level), format: config.log.format });
  await using own = await openOwnServer(invocation, log, stopped.promise);
  await using node = await openNode(config, {
    log,
    commit: buildInfo().commit,
    joinsServer: own !== undefined,
    takesOver: isSet(invocation, "takeOver"),
    endsWhenEmpty: isSet(invocation, "untilEmpty"),
    onShutdownRequested: stop,
  });
  if (isJson) printJson(describe(node, own));
  else greet(node, own);
  await stopped.promise;
  if (!isJson) printLine("Stopping. Runs wait for the next `gatehouse up`.");
  return 0;
}

/** The server's code is loaded where it is asked for, and nowhere else. */
async function openOwnServer(
  invocation: Invocation,
  log: Log,
  stopped: Promise<void>,
): Promise<ControlPlane | undefined> {
  if (textOption(invocation, "listen") === undefined) {
    if (textOption(invocation, "url") === undefined) return undefined;
    throw new Problem("usage.invalid", { detail: "--url goes with --listen." });
  }
  const abort = new AbortController();
  void stopped.then(() => abort.abort(new Error("stopped")));
  const own = await import("../combined/open-own-server.ts");
  return own.openOwnServer(invocation, log, abort.signal);
}

function describe({ stateDir, proxyPort, metricsPort }: Node, own: ControlPlane | undefined): object {
  const ready = { ready: true, pid: process.pid, state_dir: stateDir };
  const ports = { proxy_port: proxyPort, metrics_port: metricsPort };
  if (own === undefined) return { ...ready, ...ports };
  return { ...ready, ...ports, url: own.url, port: own.port, server_metrics_port: own.metricsPort };
}

/** At a terminal what matters is the banner; the log speaks up from warnings on, unless asked. */
function quieter(level: "debug" | "info" | "warn" | "error"): "debug" | "info" | "warn" | "error" {
  return level === "info" && process.stdout.isTTY === true ? "warn" : level;
}

function greet({ stateDir, proxyPort, metricsPort, runCount }: Node, own: ControlPlane | undefined): void {
  printLine(`${colour("Gatehouse is up.", "bold")} State in ${stateDir}, gate on 127.0.0.1:${proxyPort}.`);
  printLine(`Metrics and health on http://127.0.0.1:${metricsPort}.`);
  if (runCount > 0) printLine(`${runCount} run${runCount === 1 ? "" : "s"} went on while it was away.`);
  if (own !== undefined) {
    printLine(`Its server is at ${own.url}, with metrics and health on http://127.0.0.1:${own.metricsPort}.`);
    printLine("A further host: gatehouse nodes enroll-code");
  }
  printLine("In another terminal:");
  printLine("  gatehouse grant github                         store a credential");
  printLine("  gatehouse run --grant github -- COMMAND        use it from a sandbox");
  printLine("  gatehouse trace -f                             watch what runs ask for");
  printLine("Ctrl-C stops it.");
}
