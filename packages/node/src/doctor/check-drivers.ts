import { existsSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toProblem } from "@gatehouse/core";
import { spawnSandbox } from "../keeper/sandbox-process.ts";
import { keeperOf, RunFiles } from "../runs/run-files.ts";
import type { DriverName } from "../sandbox/driver.ts";
import { ENFORCES, SANDBOX_PATH } from "../sandbox/driver.ts";
import { launchSandbox } from "../sandbox/launch.ts";
import { probeDriver } from "../sandbox/probe.ts";
import { type DoctorCheck, failed, passed } from "./doctor-check.ts";

/** Builds a sandbox with each driver and looks out of it. One that works is enough. */
export async function checkDrivers(): Promise<readonly DoctorCheck[]> {
  const checks = [await checkDriver("bubblewrap"), await checkDriver("unshare")];
  const hasOne = checks.some(({ ok }) => ok);
  return checks.map((check) => ({ ...check, isNeeded: !hasOne }));
}

/** Builds a sandbox and looks, from inside, for ways out; the same probe must succeed outside. */
async function checkDriver(driver: DriverName): Promise<DoctorCheck> {
  const about = { name: `driver-${driver}`, concerns: "host" } as const;
  const probe = await probeDriver(driver);
  if (!probe.ok) return failed(about, probe.detail, probe.fix);
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-doctor-")).catch(() => undefined);
  if (directory === undefined) {
    return failed({ ...about, concerns: "setup" }, "not tried: it takes a temporary directory", "See temporary-files.");
  }
  const target = createServer((socket) => socket.destroy());
  try {
    await new Promise<void>((resolve) => target.listen(0, "127.0.0.1", resolve));
    const address = target.address();
    const port = typeof address === "object" && address !== null ? address.port : 0;
    const inside = await codeInside(driver, directory, probeScript(driver, port, directory));
    const outside = await codeOutside(port);
    if (outside !== 0) return failed(about, "the control probe failed outside", "Allow connections over loopback.");
    if (inside === 0) return passed(about, SEEN[driver]);
    return failed(about, INSIDE[inside] ?? `the probe ended with ${inside}`, "Use the other driver: --driver.");
  } catch (failure) {
    return failed(about, toProblem(failure).message, "Run again with GATEHOUSE_LOG_LEVEL=debug.");
  } finally {
    target.close();
    await rm(directory, { recursive: true, force: true });
  }
}

const SEEN: Readonly<Record<DriverName, string>> = {
  bubblewrap: "no route out, host files and processes unseen, no privileges, system calls filtered",
  unshare: "no route out, host files and processes unseen, no privileges, system calls filtered",
  process: "no isolation",
};

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
  const { sandbox } = await spawnSandbox(launch, { stdio: ["ignore", "ignore", "ignore"] });
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
