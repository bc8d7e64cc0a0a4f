import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toProblem } from "@gatehouse/core";
import { type Config, native, readDaemonLock, requestUnixOk } from "@gatehouse/kit";
import { spawnSandbox } from "../keeper/sandbox-process.ts";
import { keeperOf, RunFiles } from "../runs/run-files.ts";
import type { DriverName } from "../sandbox/driver.ts";
import { ENFORCES, SANDBOX_PATH } from "../sandbox/driver.ts";
import { launchSandbox } from "../sandbox/launch.ts";
import { probeDriver } from "../sandbox/probe.ts";

/** One thing that was tried for real. */
export interface DoctorCheck {
  readonly name: string;
  readonly ok: boolean;
  readonly detail: string;
  /** What a person can do about it. */
  readonly fix?: string;
  /** False where the host does without: another driver works. */
  readonly isNeeded: boolean;
}

/** Proves what a run needs on this host. With the daemon up it is asked too. */
export async function runDoctor(config: Config): Promise<readonly DoctorCheck[]> {
  const bubblewrap = await checkDriver("bubblewrap");
  const unshare = await checkDriver("unshare");
  const hasOne = bubblewrap.ok || unshare.ok;
  return [
    checkNode(),
    checkNative(),
    { ...bubblewrap, isNeeded: !hasOne },
    { ...unshare, isNeeded: !hasOne },
    await checkUpstreamCa(config),
    await checkDaemon(config.state.dir),
  ];
}

function checkNode(): DoctorCheck {
  const [major = 0] = process.versions.node.split(".").map(Number);
  const detail = `Node.js ${process.versions.node}`;
  const fix = "Install Node.js 24 or newer, or start by the launcher, which brings its own.";
  return { name: "node", ok: major >= 24, detail, isNeeded: true, ...(major >= 24 ? {} : { fix }) };
}

function checkNative(): DoctorCheck {
  const base = { name: "native-calls", isNeeded: true };
  if (native.available) return { ...base, ok: true, detail: "peer credentials, descriptor passing and locks work" };
  return { ...base, ok: false, detail: native.why ?? "missing", fix: "Run npm install again on this machine." };
}

/** Builds a sandbox and looks, from inside, for ways out; the same probe must succeed outside. */
async function checkDriver(driver: DriverName): Promise<DoctorCheck> {
  const base = { name: `driver-${driver}`, isNeeded: false };
  const probe = await probeDriver(driver);
  if (!probe.ok) return { ...base, ok: false, detail: probe.detail, fix: probe.fix };
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-doctor-"));
  const target = createServer((socket) => socket.destroy());
  try {
    await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
    const address = target.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const inside = await codeInside(driver, directory, probeScript(driver, port, directory));
    const outside = await codeOutside(port);
    if (outside !== 0) return { ...base, ok: false, detail: "the control probe failed outside", fix: "Report this." };
    if (inside === 0) return { ...base, ok: true, detail: "no route out, host files unseen, host processes unseen" };
    return {
      ...base,
      ok: false,
      detail: INSIDE[inside] ?? `the probe ended with ${inside}`,
      fix: "Use another driver.",
    };
  } catch (failure) {
    return { ...base, ok: false, detail: toProblem(failure).message, fix: "Run with GATEHOUSE_LOG_LEVEL=debug." };
  } finally {
    target.close();
    await rm(directory, { recursive: true, force: true });
  }
}

const INSIDE: Readonly<Record<number, string>> = {
  11: "a host listener was reached from inside",
  12: "an interface other than loopback is there",
  13: "host files are seen inside",
  14: "host processes are seen inside",
  15: "privileges can be gained inside",
  16: "there are capabilities inside",
  17: "the kernel's switches can be set inside",
  18: "there is no system call filter",
};

function probeScript(driver: DriverName, port: number, hidden: string): string {
  return `
if (exec 9<>/dev/tcp/127.0.0.1/${port}) 2>/dev/null; then exit 11; fi
grep -v -e 'lo:' -e '|' /proc/net/dev | grep -q : && exit 12
[ -e ${hidden}/runs ] && exit 13
[ "$(ls -d /proc/[0-9]* | wc -l)" -gt 20 ] && exit 14
grep -q '^NoNewPrivs:.*1$' /proc/self/status || exit 15
grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && exit 16
(: >> /proc/sys/kernel/core_pattern) 2>/dev/null && exit 17
${ENFORCES[driver].seccomp ? "grep -q '^Seccomp:.*2$' /proc/self/status || exit 18" : ""}
exit 0`;
}

async function codeInside(driver: DriverName, directory: string, script: string): Promise<number> {
  const files = new RunFiles(directory);
  const runDir = await files.prepare(keeperOf("doctor"), "");
  const workspace = await mkdtemp(join(directory, "workspace-"));
  const launch = launchSandbox(driver, {
    command: [existsSync("/bin/bash") ? "/bin/bash" : "/bin/sh", "-c", script],
    workspace,
    mounts: [],
    env: { PATH: SANDBOX_PATH },
    runDir,
    runtime: process.execPath,
    isTerminal: false,
  });
  const { sandbox } = await spawnSandbox(launch, ["ignore", "ignore", "ignore"]);
  await using _ = sandbox;
  sandbox.release();
  return (await sandbox.exited).code;
}

function codeOutside(port: number): Promise<number> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1", () => {
      socket.destroy();
      resolve(0);
    });
    socket.once("error", () => resolve(1));
  });
}

async function checkUpstreamCa(config: Config): Promise<DoctorCheck> {
  const path = config.gate.upstreamCa;
  const base = { name: "upstream-ca", isNeeded: true };
  if (path === undefined) return { ...base, ok: true, detail: "system roots" };
  if (existsSync(path)) return { ...base, ok: true, detail: `system roots and ${path}` };
  return { ...base, ok: false, detail: `${path} is not there`, fix: "Correct gate.upstreamCa." };
}

async function checkDaemon(stateDir: string): Promise<DoctorCheck> {
  const base = { name: "daemon", isNeeded: false };
  const lock = await readDaemonLock(stateDir).catch(() => undefined);
  if (lock === undefined) return { ...base, ok: false, detail: "no daemon is running", fix: "gatehouse up" };
  try {
    const health = (await requestUnixOk({ socketPath: join(stateDir, "daemon.sock"), path: "/v1/health" })) as {
      readonly workers_ready: number;
    };
    return { ...base, ok: health.workers_ready > 0, detail: `pid ${lock.pid}, ${health.workers_ready} workers ready` };
  } catch (failure) {
    return { ...base, ok: false, detail: toProblem(failure).message, fix: "Stop it and start gatehouse up again." };
  }
}
