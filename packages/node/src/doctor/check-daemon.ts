import { randomBytes } from "node:crypto";
import { lstat } from "node:fs/promises";
import { request } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { toProblem } from "@gatehouse/core";
import type { RequestRecord } from "@gatehouse/gate";
import {
  type DaemonLockDetails,
  native,
  readDaemonLock,
  requestUnixOk,
  socketDescriptor,
  streamUnix,
} from "@gatehouse/kit";
import { checkStoredAudit } from "./check-stored-audit.ts";
import { type DoctorCheck, failed, passed } from "./doctor-check.ts";

const GATE_TIMEOUT_MS = 5_000;
const RECORD_TIMEOUT_MS = 5_000;
/** A name that does not exist (RFC 6761 §6.4), and that no rule of the probe allows. */
const PROBE_URL = "http://gatehouse-doctor.invalid/";

const PROBE_RUN = "doctor-";

/** Whether a record is of a request that `gatehouse doctor` made to see it refused. */
export function isProbe({ run, url }: Pick<RequestRecord, "run" | "url">): boolean {
  return run?.startsWith(PROBE_RUN) === true && url === PROBE_URL;
}

interface Health {
  readonly pid: number;
  readonly proxy_port: number;
  readonly workers_ready: number;
  readonly runs_refused: readonly { readonly run_id: string; readonly reason: string }[];
  readonly credentials_unreadable: readonly string[];
  readonly audit_entries: number;
  readonly audit_failing?: string;
}

/** The daemon, hop by hop: its lock, its socket and who answers there, its gate's port, a request, its record. */
export async function checkDaemon(stateDir: string): Promise<readonly DoctorCheck[]> {
  const lock = await readDaemonLock(stateDir).catch(() => undefined);
  if (lock === undefined) {
    const about = { name: "daemon", concerns: "setup", isNeeded: false } as const;
    return [failed(about, "no daemon is running", "gatehouse up"), ...(await checkStoredAudit(stateDir))];
  }
  const daemon = passed({ name: "daemon", concerns: "setup" }, `pid ${lock.pid}, since ${lock.started_at}`);
  const socketPath = join(stateDir, "daemon.sock");
  const restart = `Stop process ${lock.pid} and start gatehouse up again.`;
  const socket = await checkSocket({ socketPath, lock, restart });
  if (!socket.ok) return [daemon, socket];
  try {
    const health = (await requestUnixOk({ socketPath, path: "/v1/health" })) as Health;
    return [daemon, socket, ...checkHealth(health, restart), ...(await checkGate({ socketPath, health, restart }))];
  } catch (failure) {
    return [daemon, failed({ name: "socket", concerns: "setup" }, toProblem(failure).message, restart)];
  }
}

interface SocketCheck {
  readonly socketPath: string;
  readonly lock: DaemonLockDetails;
  readonly restart: string;
}

async function checkSocket({ socketPath, restart }: SocketCheck): Promise<DoctorCheck> {
  const about = { name: "socket", concerns: "setup" } as const;
  const stats = await lstat(socketPath).catch(() => undefined);
  if (stats === undefined) return failed(about, `${socketPath} is not there`, restart);
  if (!stats.isSocket()) return failed(about, `${socketPath} is no socket`, restart);
  if ((stats.mode & 0o077) !== 0) return failed(about, `${socketPath} is open to others`, `chmod 600 ${socketPath}`);
  const peer = await peerOf(socketPath);
  if (peer === undefined) return failed(about, "nobody answers there", restart);
  if (peer !== process.getuid?.()) return failed(about, `user ${peer} answers there`, "Run as the daemon's user.");
  return passed(about, `${socketPath} is this user's alone, and so is who answers there`);
}

/** User id of who serves a socket. */
function peerOf(socketPath: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const socket = connect(socketPath, () => {
      const descriptor = socketDescriptor(socket);
      // Without native calls the mode of socket and directory is the check, as `native-calls` says.
      const uid =
        native.available && descriptor !== undefined ? native.peerCredentials(descriptor).uid : process.getuid?.();
      socket.destroy();
      resolve(uid);
    });
    socket.once("error", () => resolve(undefined));
  });
}

function checkHealth(health: Health, restart: string): readonly DoctorCheck[] {
  const { workers_ready: ready, credentials_unreadable: unreadable, runs_refused: refused } = health;
  const workers = { name: "workers", concerns: "setup" } as const;
  const restored = { name: "restored", concerns: "setup" } as const;
  const lost = [...unreadable, ...refused.map(({ run_id, reason }) => `run ${run_id}: ${reason}`)];
  return [
    ready > 0 ? passed(workers, `${ready} ready`) : failed(workers, "none is ready", restart),
    lost.length === 0
      ? passed(restored, "every credential and run of the state directory is served")
      : failed(restored, `not served: ${lost.join("; ")}`, "gatehouse revoke the grants and store them again."),
    checkAudit(health),
  ];
}

function checkAudit({ audit_entries: entries, audit_failing: why }: Health): DoctorCheck {
  const about = { name: "audit", concerns: "setup" } as const;
  if (why === undefined) return passed(about, `${entries} entries, each on the disk before it counts`);
  const fix = "Make room on the file system of the state directory: requests then go on by themselves.";
  return failed(about, `it cannot be written (${why}): every request is refused`, fix);
}

interface GateCheck {
  readonly socketPath: string;
  readonly health: Health;
  readonly restart: string;
}

/** Registers a run that nothing is allowed to, asks the gate as it would, and takes it back. */
async function checkGate({ socketPath, health, restart }: GateCheck): Promise<readonly DoctorCheck[]> {
  const gate = { name: "gate", concerns: "setup" } as const;
  const port = health.proxy_port;
  const stranger = await askGate(port, undefined);
  if (stranger.status !== 407) {
    return [failed(gate, `127.0.0.1:${port} answered ${stranger.status || stranger.denied} to a stranger`, restart)];
  }
  const runId = `${PROBE_RUN}${randomBytes(8).toString("hex")}`;
  const body = { run_id: runId, network_policy: "strict" };
  const registered = (await requestUnixOk({ socketPath, method: "POST", path: "/v1/runs", body })) as {
    readonly auth_token: string;
  };
  try {
    const { status, denied } = await askGate(port, registered.auth_token);
    const isRefused = status === 403 && denied === "gate.policy_denied";
    const detail = `127.0.0.1:${port} answered ${status} ${denied} to a run that nothing is allowed to`;
    return [
      isRefused ? passed(gate, detail) : failed(gate, detail, restart),
      ...(isRefused ? [await checkRecord(socketPath, runId)] : []),
    ];
  } finally {
    await requestUnixOk({ socketPath, method: "DELETE", path: `/v1/runs/${registered.auth_token}` });
  }
}

/** The gate's answer to one request; 0 with the reason when there was none. */
function askGate(
  port: number,
  token: string | undefined,
): Promise<{ readonly status: number; readonly denied: string }> {
  return new Promise((resolve) => {
    const headers = { host: new URL(PROBE_URL).host, ...(token && { "proxy-authorization": `Bearer ${token}` }) };
    const options = { host: "127.0.0.1", port, path: PROBE_URL, headers, timeout: GATE_TIMEOUT_MS, agent: false };
    const call = request(options, (answer) => {
      answer.resume();
      resolve({ status: answer.statusCode ?? 0, denied: String(answer.headers["x-gatehouse-denied"] ?? "") });
    });
    call.once("timeout", () => call.destroy(new Error("no answer in time")));
    call.once("error", (failure) => resolve({ status: 0, denied: failure.message }));
    call.end();
  });
}

/** Waits for the record of what was just refused, then reads it back from the disk. */
async function checkRecord(socketPath: string, runId: string): Promise<DoctorCheck> {
  const about = { name: "records", concerns: "setup" } as const;
  const fix = "Make room on the file system of the state directory, and make its records/ writable.";
  const signal = AbortSignal.timeout(RECORD_TIMEOUT_MS);
  try {
    const seen = await firstRecord(socketPath, `/v1/records?run=${runId}&follow`, signal);
    // A record is shown to who follows before it is written.
    const stored = await firstRecord(socketPath, `/v1/records?run=${runId}`, signal);
    if (stored !== undefined) return passed(about, `the refusal is on record (${stored.code ?? "no code"})`);
    return failed(about, `the refusal was ${seen === undefined ? "not recorded" : "recorded, but not written"}`, fix);
  } catch (failure) {
    return failed(about, `the refusal is not on record: ${toProblem(failure).message}`, fix);
  }
}

async function firstRecord(socketPath: string, path: string, signal: AbortSignal): Promise<RequestRecord | undefined> {
  for await (const line of streamUnix({ socketPath, path, signal })) return JSON.parse(line) as RequestRecord;
  return undefined;
}
