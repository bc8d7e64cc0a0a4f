import { createLog, native } from "@gatehouse/kit";
import { type Invocation, isSet } from "../invocation.ts";
import { openControlPlane } from "../server/open-control-plane.ts";
import { colour, printJson, printLine } from "../terminal/print.ts";

/** Runs the control plane in this process until it is asked to stop. */
export async function server(invocation: Invocation): Promise<number> {
  native.keepMemoryPrivate();
  const { log: logs } = invocation.config;
  const stopped = Promise.withResolvers<void>();
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(name, () => stopped.resolve());
  const log = createLog({ level: logs.level, format: logs.format });
  await using running = await openControlPlane(invocation, log);
  const { url, port, metricsPort, setupCodeFile, isEmpty } = running;
  if (isSet(invocation, "json")) printJson({ ready: true, url, port, metrics_port: metricsPort, pid: process.pid });
  else {
    printLine(`${colour("The Gatehouse server is up", "bold")} at ${url}.`);
    printLine(`Metrics and health on http://127.0.0.1:${metricsPort}.`);
    const init = `gatehouse org init --server ${url} --setup-code-file ${setupCodeFile} --org NAME --owner NAME`;
    if (isEmpty) printLine(`next: ${init}`);
  }
  await stopped.promise;
  return 0;
}
