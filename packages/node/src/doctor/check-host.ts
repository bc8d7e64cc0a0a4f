import { lookup } from "node:dns/promises";
import { WORKER_OPEN_FILES } from "@gatehouse/gate";
import { errorCode, native, openFilesLimit } from "@gatehouse/kit";
import { isInstalled } from "../sandbox/probe.ts";
import { type DoctorCheck, failed, passed } from "./doctor-check.ts";

const NEEDED = "24.7";
const DNS_TIMEOUT_MS = 5_000;
/** A name that does not exist (RFC 6761 §6.4): a resolver that works says so, and nobody outside learns of it. */
const NO_NAME = "gatehouse-doctor.invalid";

/** The runtime, native calls, and whether names resolve. */
export async function checkHost(): Promise<readonly DoctorCheck[]> {
  return [checkNode(), checkNative(), await checkOpenFiles(), checkJoiner(), await checkResolver()];
}

function checkNode(): DoctorCheck {
  const about = { name: "node", concerns: "host" } as const;
  const detail = `Node.js ${process.versions.node}`;
  if (process.versions.node.localeCompare(NEEDED, "en", { numeric: true }) >= 0) return passed(about, detail);
  return failed(about, detail, `Install Node.js ${NEEDED} or newer, or start by the launcher, which brings its own.`);
}

function checkNative(): DoctorCheck {
  const about = { name: "native-calls", concerns: "host" } as const;
  if (native.available) return passed(about, "peer credentials, descriptor passing and locks work");
  return failed(about, native.why ?? "missing", "Run npm install again on this machine.");
}

async function checkOpenFiles(): Promise<DoctorCheck> {
  const about = { name: "open-files", concerns: "host", isNeeded: false } as const;
  const limit = await openFilesLimit();
  const detail = limit === undefined ? "the system names no limit" : `${limit} in each process`;
  if (limit === undefined || limit >= WORKER_OPEN_FILES) return passed(about, detail);
  const fix = `Raise the limit where it is started: ulimit -n ${WORKER_OPEN_FILES}, or LimitNOFILE= in its unit.`;
  return failed(about, `${detail}: connections beyond are closed before the gate's own bound`, fix);
}

function checkJoiner(): DoctorCheck {
  const about = { name: "exec", concerns: "host", isNeeded: false } as const;
  if (isInstalled("perl")) return passed(about, "further commands can be run in runs");
  return failed(about, "perl is not installed: no further command is run in a run", "Install perl.");
}

async function checkResolver(): Promise<DoctorCheck> {
  // Services on loopback and names of `gate.hosts` need none.
  const about = { name: "dns", concerns: "host", isNeeded: false } as const;
  const late = Promise.withResolvers<string>();
  const timer = setTimeout(() => late.resolve("it did not answer in time"), DNS_TIMEOUT_MS);
  try {
    const fault = await Promise.race([faultOfResolver(), late.promise]);
    if (fault === undefined) return passed(about, "the resolver answers");
    return failed(about, fault, "Correct the nameserver lines of /etc/resolv.conf, or name hosts in gate.hosts.");
  } finally {
    clearTimeout(timer);
  }
}

async function faultOfResolver(): Promise<string | undefined> {
  try {
    const { address } = await lookup(NO_NAME);
    return `it answers ${address} for a name that does not exist`;
  } catch (failure) {
    const code = errorCode(failure);
    return code === "ENOTFOUND" ? undefined : `the resolver does not answer (${code})`;
  }
}
