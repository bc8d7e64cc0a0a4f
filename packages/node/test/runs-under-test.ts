import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lifetime, systemClock } from "@gatehouse/core";
import { createLog, serveUnix } from "@gatehouse/kit";
import { nodeRoutes } from "../src/daemon/node-routes.ts";
import { StopAll } from "../src/local-page/stop-all.ts";
import { type CreateRequest, parseCreateRequest } from "../src/runs/create-request.ts";
import { RunFiles } from "../src/runs/run-files.ts";
import { Sandboxes, type SandboxesDeps } from "../src/runs/sandboxes.ts";
import type { DriverName } from "../src/sandbox/driver.ts";
import { Drivers } from "../src/sandbox/drivers.ts";
import { processesWith } from "./processes-with.ts";
import { until } from "./until.ts";

type GateCall = SandboxesDeps["gate"]["call"];

/** A gate that keeps books: which runs it was told of, and which are over. */
export class BookkeepingGate {
  readonly live = new Map<string, string | undefined>();
  readonly ended: string[] = [];
  /** Called while a run is being registered. */
  onStartRun: () => Promise<void> = () => Promise.resolve();

  readonly call = (async (method: string, params: { runId: string; keeper?: string }) => {
    if (method === "startRun") {
      this.live.set(params.runId, params.keeper);
      await this.onStartRun();
      return { token: "t0ken", env: {}, allowed: [], caCertificatePem: "", proxyPort: 1, statesLoopback: false };
    }
    if (method === "listRuns") return [...this.live].map(([runId, keeper]) => ({ runId, keeper }));
    if (method === "endRun" && this.live.delete(params.runId)) this.ended.push(params.runId);
    return {};
  }) as unknown as GateCall;
}

/** The runs of a node with real keepers and sandboxes, and a gate that keeps books. */
export async function openRuns(driver: DriverName) {
  const life = new Lifetime();
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-runs-"));
  life.defer(() => rm(directory, { recursive: true, force: true }));
  const stateDir = join(directory, "state");
  const workspace = join(directory, "work");
  for (const path of [join(stateDir, "keepers"), workspace]) await mkdir(path, { recursive: true });
  const gate = new BookkeepingGate();
  const files = new RunFiles(stateDir);
  const log = createLog({ level: "error", format: "text", write: () => undefined });
  const own = { stateDir, configDir: join(directory, "config"), sockets: [], programs: [] };
  const probed: DriverName[] = [];
  const probe = (asked: DriverName) => {
    probed.push(asked);
    return Promise.resolve({ ok: true, detail: "" } as const);
  };
  const drivers = new Drivers(probe, driver);
  const open = (takesOver: boolean) =>
    Sandboxes.open({ gate, files, clock: systemClock, log, own, drivers, takesOver });
  const runs = await open(false);
  const stopAll = new StopAll({ sandboxes: runs, gate, log });
  const routes = nodeRoutes({ sandboxes: runs, files, status: () => Promise.resolve({}), stopAll });
  const socketPath = join(stateDir, "node.sock");
  life.own(await serveUnix({ socketPath, routes, log, signal: life.signal }));
  // Closed first, for what it ends tells the socket.
  life.defer(async () => {
    for (const { runId } of runs.list()) await runs.stop(runId);
    await until(() => processesWith(directory).length === 0);
  });
  const request = (command: readonly string[], more: object): CreateRequest =>
    parseCreateRequest({ command, workspace, detach: true, env: { MARK: directory }, ...more });
  return {
    directory,
    stateDir,
    workspace,
    socketPath,
    gate,
    files,
    runs,
    /** The same runs, as the next daemon finds them. */
    openNext: ({ takesOver }: Pick<SandboxesDeps, "takesOver">) => open(takesOver),
    /** Of which driver a probe was made, in order. */
    probed,
    start: (script: string, more = {}) => runs.create(request(["/bin/sh", "-c", script], more)),
    [Symbol.asyncDispose]: () => life[Symbol.asyncDispose](),
  };
}
