import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { requestUnix } from "@gatehouse/kit";
import { eventually } from "../system/eventually.ts";

const execute = promisify(execFile);

/** A Docker Engine of the test's own: state, socket and network namespace. */
export interface DockerEngine extends AsyncDisposable {
  readonly socketPath: string;
  /** `docker …` against it; returns what it printed. */
  docker(...args: readonly string[]): Promise<string>;
  /** Ends the engine. Its containers end with it. */
  kill(): Promise<void>;
}

/** Starts an engine in a network namespace of its own, with one image, `tiny`, whose programs are busybox's. */
export async function startDocker(): Promise<DockerEngine> {
  const directory = await mkdtemp(join(tmpdir(), "gh-docker-"));
  const namespace = `gh-docker-${process.pid}`;
  await execute("ip", ["netns", "add", namespace]);
  const socketPath = join(directory, "docker.sock");
  const engine = spawn(
    "nsenter",
    [
      `--net=/run/netns/${namespace}`,
      "dockerd",
      "--iptables=false",
      "--ip6tables=false",
      "--ip-forward=false",
      "--storage-driver=overlay2",
      `--data-root=${join(directory, "data")}`,
      `--exec-root=${join(directory, "exec")}`,
      `--pidfile=${join(directory, "docker.pid")}`,
      `--host=unix://${socketPath}`,
    ],
    { stdio: ["ignore", "pipe", "pipe"], env: { PATH: process.env.PATH, HOME: directory } },
  );
  let said = "";
  for (const stream of [engine.stdout, engine.stderr]) stream.on("data", (part: Buffer) => (said += part.toString()));
  const dispose = async () => {
    await end(engine);
    await execute("ip", ["netns", "del", namespace]);
    await rm(directory, { recursive: true, force: true });
  };
  const docker = async (...args: readonly string[]) =>
    (await execute("docker", ["--host", `unix://${socketPath}`, ...args])).stdout.trim();
  try {
    await eventually(
      "the engine",
      async () => {
        if (engine.exitCode !== null) throw new Error(`dockerd ended: ${said.slice(-2_000)}`);
        return (await requestUnix({ socketPath, path: "/version" }).catch(() => undefined)) !== undefined;
      },
      { timeoutMs: 20_000 },
    );
    await importImage(directory, docker);
  } catch (failure) {
    await dispose();
    throw failure;
  }
  return { socketPath, docker, kill: () => end(engine), [Symbol.asyncDispose]: dispose };
}

async function importImage(directory: string, docker: DockerEngine["docker"]): Promise<void> {
  const root = join(directory, "image");
  await mkdir(join(root, "bin"), { recursive: true });
  await execute("cp", ["/bin/busybox", join(root, "bin/busybox")]);
  await execute("ln", ["-s", "busybox", join(root, "bin/sleep")]);
  await execute("tar", ["-C", root, "-cf", join(directory, "image.tar"), "."]);
  await docker("import", join(directory, "image.tar"), "tiny");
}

async function end(engine: ChildProcess): Promise<void> {
  if (engine.exitCode !== null || engine.signalCode !== null) return;
  const gone = once(engine, "exit");
  engine.kill("SIGTERM");
  const overdue = setTimeout(() => engine.kill("SIGKILL"), 15_000);
  await gone;
  clearTimeout(overdue);
}
