import { createLog } from "@gatehouse/kit";
import { type Node, openNode } from "@gatehouse/node";
import { buildInfo } from "../build-info.ts";
import { type Invocation, isSet } from "../invocation.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

/** Runs the daemon in this process until it is asked to stop. */
export async function up(invocation: Invocation): Promise<number> {
  const { config } = invocation;
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, stop);
  const isJson = isSet(invocation, "json");
  const log = createLog({ level: isJson ? config.log.level : quieter(config.log.level), format: config.log.format });
  await using node = await openNode(config, {
    log,
    commit: buildInfo().commit,
    joinsServer: false,
    takesOver: isSet(invocation, "takeOver"),
    endsWhenEmpty: isSet(invocation, "untilEmpty"),
    onShutdownRequested: stop,
  });
  const { stateDir, proxyPort, metricsPort } = node;
  if (isJson)
    printJson({ ready: true, pid: process.pid, state_dir: stateDir, proxy_port: proxyPort, metrics_port: metricsPort });
  else greet(node);
  await stopped.promise;
  if (!isJson) printLine("Stopping. Runs wait for the next `gatehouse up`.");
  return 0;
}

/** At a terminal what matters is the banner; the log speaks up from warnings on, unless asked. */
function quieter(level: "debug" | "info" | "warn" | "error"): "debug" | "info" | "warn" | "error" {
  return level === "info" && process.stdout.isTTY === true ? "warn" : level;
}

function greet({ stateDir, proxyPort, metricsPort, runCount }: Node): void {
  printLine(`${colour("Gatehouse is up.", "bold")} State in ${stateDir}, gate on 127.0.0.1:${proxyPort}.`);
  printLine(`Metrics and health on http://127.0.0.1:${metricsPort}.`);
  if (runCount > 0) printLine(`${runCount} run${runCount === 1 ? "" : "s"} went on while it was away.`);
  printLine("In another terminal:");
  printLine("  gatehouse grant github                         store a credential");
  printLine("  gatehouse run --grant github -- COMMAND        use it from a sandbox");
  printLine("  gatehouse trace -f                             watch what runs ask for");
  printLine("Ctrl-C stops it.");
}
