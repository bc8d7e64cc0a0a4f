import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { requestUnixOk } from "@gatehouse/kit";
import { type Measured, startCommand } from "../../process.ts";
import type { Way } from "../load/order.ts";
import { type Bench, MANY_HOSTS, type Peer } from "./peer.ts";

const ENTRY = new URL("../../../dist/gatehouse.js", import.meta.url).pathname;

/** The product as a user starts it, with one run registered over its local API. */
export interface Gate extends Peer {
  readonly process: Measured;
  readonly socketPath: string;
  /** The same way as another run, registered with this body. */
  register(body: object): Promise<Way>;
  /** The way of a run that may reach the named hosts below the origin's. */
  withHosts(): Promise<Way>;
}

const HOSTS = 1_000;

/**
 * Starts the daemon; its run has a policy, a credential to attach and to keep out of answers, and its requests are
 * recorded.
 */
export async function openGate(bench: Bench, dir: string): Promise<Gate> {
  const stateDir = join(dir, "state");
  const config = join(dir, "config.yaml");
  const names = Array.from({ length: HOSTS }, (_, index) => `    h${index}.${MANY_HOSTS}: 127.0.0.1\n`).join("");
  writeFileSync(config, `gate:\n  upstreamCa: ${bench.caFile}\n  hosts:\n${names}log:\n  level: error\n`);
  const daemon = startCommand(process.execPath, [ENTRY, "up", "--json", "--state-dir", stateDir, "--config", config]);
  await firstLine(daemon);
  const socketPath = join(stateDir, "daemon.sock");
  const caFile = join(stateDir, "ca/interception.crt");
  const way = (token: string, proxyPort: number, host = bench.host): Way => ({
    proxyPort,
    proxyTokens: [token],
    originPort: bench.originPort,
    host,
    caFile,
  });
  const named: string[] = [];
  const register = async (body: object) => {
    const answer = (await requestUnixOk({ socketPath, method: "POST", path: "/v1/runs", body })) as Registered;
    return way(answer.auth_token, answer.proxy_port);
  };
  return {
    name: "gate",
    way: await register(benchRun(bench, "bench")),
    process: daemon,
    socketPath,
    register,
    withHosts: async () => {
      const { token, port, path } = await startNamedRun(bench, { dir, socketPath });
      named.push(path);
      return way(token, port, MANY_HOSTS);
    },
    [Symbol.asyncDispose]: async () => {
      // A run outlives its daemon.
      for (const path of named) await requestUnixOk({ socketPath, method: "DELETE", path });
      await daemon[Symbol.asyncDispose]();
    },
  };
}

interface Registered {
  readonly auth_token: string;
  readonly proxy_port: number;
}

/** What a run with one grant is registered with. */
export function benchRun({ host, originPort }: Bench, runId: string): Record<string, unknown> {
  return {
    run_id: runId,
    network_policy: "strict",
    network_allow: [`${host}:${originPort}`],
    credentials: [
      { host: `${host}:${originPort}`, header: "Authorization", value: "Bearer real-credential-of-the-bench" },
    ],
  };
}

/** Names that lead to loopback need a policy that states its range, which only a run of our own can have. */
async function startNamedRun(
  { originPort }: Bench,
  { dir, socketPath }: { readonly dir: string; readonly socketPath: string },
): Promise<{ readonly token: string; readonly port: number; readonly path: string }> {
  const workspace = join(dir, "workspace");
  mkdirSync(workspace);
  const seen = join(workspace, "proxy-variable");
  const command = [
    "/bin/sh",
    "-c",
    `printf %s "$HTTPS_PROXY" > ${seen}.part && mv ${seen}.part ${seen} && exec sleep 600`,
  ];
  const rule = { action: "allow", hosts: [`*.${MANY_HOSTS}`], ports: [originPort], cidr: ["127.0.0.0/8"] };
  const body = { command, workspace, policy: { mode: "strict", rules: [rule] }, driver: "process", detach: true };
  const order = { socketPath, method: "POST", path: "/v1/sandboxes", timeoutMs: 30_000, body } as const;
  const { run_id } = (await requestUnixOk(order)) as { readonly run_id: string };
  for (let tries = 0; tries < 200; tries += 1) {
    try {
      const { password, port } = new URL(readFileSync(seen, "utf8"));
      return { token: password, port: Number(port), path: `/v1/sandboxes/${run_id}` };
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
  throw new Error("the run did not start");
}

function firstLine({ child }: Measured): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      if (text.includes("\n")) resolve(text);
    });
    child.once("exit", (code) => reject(new Error(`ended with ${code} before it was ready`)));
  });
}
