import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { Problem } from "@gatehouse/core";
import { childEnvironment, native } from "@gatehouse/kit";
import type { DriverName } from "./driver.ts";

/** What a probe found; `fix` is what a person can do about it. */
export type ProbeResult =
  | { readonly ok: true; readonly detail: string }
  | { readonly ok: false; readonly detail: string; readonly fix: string };

const PROBE_TIMEOUT_MS = 10_000;
const NAMESPACES = ["--user", "--map-root-user", "--mount", "--net", "--ipc", "--uts", "--cgroup", "--pid", "--fork"];

/** Tries for real whether a driver works on this host. */
export async function probeDriver(driver: DriverName): Promise<ProbeResult> {
  if (driver === "process") return { ok: true, detail: "no isolation: runs are marked exposed" };
  if (process.platform !== "linux") {
    return {
      ok: false,
      detail: "namespaces are Linux's",
      fix: "Use Linux, or --driver process, which isolates nothing.",
    };
  }
  if (!native.available) {
    return {
      ok: false,
      detail: `native calls are missing: ${native.why ?? ""}`,
      fix: "Run npm install again on this machine.",
    };
  }
  const isBubblewrap = driver === "bubblewrap";
  const tool = isBubblewrap ? "bwrap" : "unshare";
  const args = isBubblewrap
    ? [
        "--unshare-all",
        "--unshare-user",
        "--disable-userns",
        "--ro-bind",
        "/",
        "/",
        "--proc",
        "/proc",
        "--",
        "/bin/true",
      ]
    : [...NAMESPACES, "--", "/bin/sh", "-c", "mount -t tmpfs tmpfs /tmp"];
  const complaint = await tryRun(tool, args);
  if (complaint === undefined) return { ok: true, detail: `${tool} builds namespaces` };
  return { ok: false, detail: `${tool}: ${complaint}`, fix: fixFor(complaint, driver) };
}

/** The driver that was asked for, or the best that works. Fails with `sandbox.unavailable`, naming probe and fix. */
export async function requireDriver(asked: DriverName | undefined): Promise<DriverName> {
  const candidates: readonly DriverName[] = asked === undefined ? ["bubblewrap", "unshare"] : [asked];
  const failures: string[] = [];
  for (const driver of candidates) {
    const result = await probeDriver(driver);
    if (result.ok) return driver;
    failures.push(`Probe ${driver} failed: ${result.detail}. Fix: ${result.fix}`);
  }
  throw new Problem("sandbox.unavailable", { detail: failures.join(" ") });
}

/** `undefined` when it ended well, else the last line of what it said. */
function tryRun(file: string, args: readonly string[]): Promise<string | undefined> {
  return new Promise((resolve) => {
    execFile(file, [...args], { timeout: PROBE_TIMEOUT_MS, env: childEnvironment() }, (failure, _stdout, stderr) => {
      if (failure === null) resolve(undefined);
      else if ((failure as NodeJS.ErrnoException).code === "ENOENT") resolve("not installed");
      else resolve(stderr.trim().split("\n").at(-1) || `ended with ${String(failure.code)}`);
    });
  });
}

const SWITCHES = [
  { path: "/proc/sys/kernel/unprivileged_userns_clone", bad: "0", fix: "sysctl -w kernel.unprivileged_userns_clone=1" },
  {
    path: "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    bad: "1",
    fix: "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or install bubblewrap with its profile",
  },
  { path: "/proc/sys/user/max_user_namespaces", bad: "0", fix: "sysctl -w user.max_user_namespaces=10000" },
];

function fixFor(complaint: string, driver: DriverName): string {
  if (complaint === "not installed") {
    return driver === "bubblewrap" ? "apt-get install bubblewrap (or use --driver unshare)." : "Install util-linux.";
  }
  const found = SWITCHES.find(({ path, bad }) => existsSync(path) && readFileSync(path, "utf8").trim() === bad);
  return found === undefined ? "Allow user namespaces to this user." : `As root: ${found.fix}.`;
}
