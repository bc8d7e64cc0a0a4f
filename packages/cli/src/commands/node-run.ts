import { createLog, native } from "@gatehouse/kit";
import { openNode } from "@gatehouse/node";
import { buildInfo } from "../build-info.ts";
import { type Invocation, isSet } from "../invocation.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

/** Runs the daemon of an enrolled host in this process until it is asked to stop. */
export async function runNode(invocation: Invocation): Promise<number> {
  native.keepMemoryPrivate();
  const { config } = invocation;
  const stopped = Promise.withResolvers<void>();
  const stop = () => stopped.resolve();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, stop);
  const log = createLog({ level: config.log.level, format: config.log.format });
  await using node = await openNode(config, {
    log,
    commit: buildInfo().commit,
    joinsServer: true,
    takesOver: false,
    endsWhenEmpty: false,
    onShutdownRequested: stop,
  });
  const { stateDir, proxyPort, metricsPort } = node;
  if (isSet(invocation, "json")) {
    const ports = { proxy_port: proxyPort, metrics_port: metricsPort };
    printJson({ ready: true, pid: process.pid, state_dir: stateDir, ...ports });
  } else {
    printLine(`${colour("This node is up.", "bold")} State in ${stateDir}. It joins its server when that answers.`);
    printLine(`Metrics and health, and the host's page, on http://127.0.0.1:${metricsPort}.`);
  }
  await stopped.promise;
  return 0;
}
