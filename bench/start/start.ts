// What a person waits for: help, and a command in a sandbox beside bare bubblewrap.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { median } from "../median.ts";
import type { Row } from "../row.ts";

const BIN = fileURLToPath(new URL("../../packages/cli/bin/gatehouse.mjs", import.meta.url));
const BARE = ["--unshare-all", "--die-with-parent", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "true"];

/** Times in turn, so that a drift of the machine meets all of them. */
export async function benchStart({ isShort }: { readonly isShort: boolean }): Promise<Row[]> {
  const dir = mkdtempSync(join(tmpdir(), "gatehouse-bench-"));
  const workspace = join(dir, "workspace");
  mkdirSync(workspace);
  const daemon = await startDaemon(dir);
  try {
    const gatehouse = (...args: string[]) => [process.execPath, BIN, ...args];
    const commands: Readonly<Record<string, readonly string[]>> = {
      node: [process.execPath, "-e", "0"],
      help: gatehouse("--help"),
      bubblewrap: ["bwrap", ...BARE],
      run: gatehouse("run", "--state-dir", join(dir, "state"), "--config", join(dir, "config.yaml"), "--", "true"),
    };
    const rounds: Record<string, number[]> = {};
    for (let round = -1; round < (isShort ? 5 : 20); round += 1) {
      for (const [name, command] of Object.entries(commands)) {
        const ms = timeOf(command, workspace);
        if (round >= 0) rounds[name] = [...(rounds[name] ?? []), ms];
      }
    }
    return rowsOf(rounds);
  } finally {
    daemon.kill("SIGTERM");
    await new Promise((resolve) => daemon.once("exit", resolve));
    rmSync(dir, { recursive: true, force: true });
  }
}

function rowsOf(rounds: Readonly<Record<string, readonly number[]>>): Row[] {
  const of = (name: string) => rounds[name] ?? [];
  const bare = of("bubblewrap");
  const over = of("run").map((ms, round) => ms - (bare[round] ?? Number.NaN));
  const node = { "bare node": median(of("node")) };
  return [
    { case: "gatehouse --help", value: median(of("help")), unit: "ms", target: { atMost: 100 }, peers: node, rounds },
    { case: "gatehouse run -- true", value: median(of("run")), unit: "ms", peers: { bubblewrap: median(bare) } },
    { case: "gatehouse run -- true, over bare bubblewrap", value: median(over), unit: "ms", target: { atMost: 250 } },
  ];
}

function timeOf([file = "", ...args]: readonly string[], cwd: string): number {
  const began = performance.now();
  const { status, stderr } = spawnSync(file, args, { cwd, stdio: ["ignore", "ignore", "pipe"] });
  if (status !== 0) throw new Error(`${file} ended with ${status}: ${stderr.toString().trim()}`);
  return performance.now() - began;
}

async function startDaemon(dir: string) {
  const config = join(dir, "config.yaml");
  writeFileSync(config, "log:\n  level: error\n");
  const args = [BIN, "up", "--json", "--state-dir", join(dir, "state"), "--config", config];
  const daemon = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((resolve, reject) => {
    daemon.stdout.once("data", resolve);
    daemon.once("exit", () => reject(new Error("the daemon ended before it was ready")));
  });
  return daemon;
}
