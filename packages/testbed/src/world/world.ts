import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Lifetime, PolicyRule } from "@gatehouse/core";
import { requestUnix, type UnixAnswer } from "@gatehouse/kit";
import type { TestAuthority } from "../services/test-authority.ts";
import { eventually } from "../system/eventually.ts";
import type { ProcessEntry } from "../system/process-table.ts";
import { type Finished, runProcess } from "../system/run-process.ts";
import type { WorldDaemon } from "./daemon.ts";
import { expectNoLeftovers, findLiveFiles, findWorldProcesses, killWorldProcesses } from "./leftovers.ts";
import { productCommand, productEnvironment } from "./product.ts";
import { RunningCommand } from "./running-command.ts";
import { requireStatedCode } from "./stated-codes.ts";

export interface WorldPaths {
  readonly directory: string;
  readonly stateDir: string;
  /** Where commands are started, and what runs see as their workspace. */
  readonly workspace: string;
  readonly config: string;
}

export interface WorldParts {
  readonly paths: WorldPaths;
  readonly authority: TestAuthority;
  readonly daemon: WorldDaemon;
  readonly life: Lifetime;
}

export interface CommandOptions {
  readonly stdin?: string;
  readonly timeoutMs?: number;
}

export interface RunOptions extends CommandOptions {
  readonly grants?: readonly string[];
  readonly allow?: readonly string[];
  /** Path of a policy file. */
  readonly policy?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Further flags of `gatehouse run`. */
  readonly flags?: readonly string[];
}

/** A credential for `credentials add`. */
export interface NewCredential {
  /** `host` or `host:port`. */
  readonly host: string;
  readonly value: string;
  /** Default `Authorization`. */
  readonly header?: string;
  /** Default `Bearer {value}`. */
  readonly format?: string;
}

/** Which processes of the product are meant. */
export type Role = "daemon" | "holder" | "worker" | "keeper";

const SCRIPTS: Readonly<Record<Role, string>> = {
  daemon: "gatehouse.js up ",
  holder: "gate-holder.js",
  worker: "gate-worker.js",
  keeper: "keeper.js",
};

/** A running product and how tests speak to it. Made by `startWorld`. */
export class World implements AsyncDisposable {
  readonly paths: WorldPaths;
  readonly authority: TestAuthority;
  readonly daemon: WorldDaemon;
  readonly #life: Lifetime;
  readonly #running: RunningCommand[] = [];
  #policies = 0;

  constructor({ paths, authority, daemon, life }: WorldParts) {
    this.paths = paths;
    this.authority = authority;
    this.daemon = daemon;
    this.#life = life;
  }

  get environment(): Readonly<Record<string, string>> {
    return productEnvironment(this.paths.directory);
  }

  /** Runs `gatehouse …` on this world's state to its end. */
  cli(args: readonly string[], options: CommandOptions = {}): Promise<Finished> {
    const [program, script] = productCommand();
    const how = { env: this.environment, cwd: this.paths.workspace, ...options };
    return runProcess(program, [script, ...this.#withState(args)], how);
  }

  /** As `cli`, for commands that must succeed; returns standard output parsed as JSON. */
  async cliJson(args: readonly string[], options: CommandOptions = {}): Promise<unknown> {
    const { code, stdout, stderr } = await this.cli([...args, "--json"], options);
    if (code !== 0) throw new Error(`gatehouse ${args.join(" ")} ended with ${code}: ${stderr}${stdout}`);
    return JSON.parse(stdout);
  }

  /** Runs a command in a sandbox to its end. */
  run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
    return this.cli(this.#runArguments(command, options), options);
  }

  /** Starts `gatehouse …` and leaves it running; disposing of the world ends it. */
  startCli(args: readonly string[]): RunningCommand {
    const how = { env: this.environment, cwd: this.paths.workspace };
    const running = new RunningCommand([...productCommand(), ...this.#withState(args)], how);
    this.#running.push(running);
    return running;
  }

  /** Starts a command in a sandbox in the foreground. */
  startRun(command: readonly string[], options: RunOptions = {}): RunningCommand {
    return this.startCli(this.#runArguments(command, options));
  }

  /** Seals a credential and makes the grant of the same name. */
  async addCredential(name: string, credential: NewCredential): Promise<void> {
    const { host, value, header = "Authorization", format = "Bearer {value}" } = credential;
    const where = ["--host", host, "--header", header, "--format", format];
    const { code, stdout, stderr } = await this.cli(["credentials", "add", name, ...where], { stdin: value });
    if (code !== 0) throw new Error(`credentials add ended with ${code}: ${stderr}${stdout}`);
  }

  /** Writes a strict policy with these rules; returns its path. */
  async writePolicy(rules: readonly PolicyRule[]): Promise<string> {
    this.#policies += 1;
    const path = join(this.paths.directory, `policy-${this.#policies}.yaml`);
    await writeFile(path, JSON.stringify({ mode: "strict", rules }));
    return path;
  }

  /** A policy under which runs reach these services of the world, each `name:port`. */
  allowServices(...hosts: readonly string[]): Promise<string> {
    return this.writePolicy([{ action: "allow", hosts, cidr: ["127.0.0.0/8"] }]);
  }

  /** One call of the local API. Fails when it is refused in a way that the reference does not state. */
  async request(method: string, path: string, body?: unknown): Promise<UnixAnswer> {
    const socketPath = join(this.paths.stateDir, "daemon.sock");
    const answer = await requestUnix({ socketPath, method, path, ...(body === undefined ? {} : { body }) });
    if (answer.status >= 400) requireStatedCode({ method, path, body: answer.body });
    return answer;
  }

  /** Ids of the runs that have not ended, newest first. */
  async liveRuns(): Promise<readonly string[]> {
    const runs = (await this.cliJson(["ls"])) as readonly { readonly run_id: string; readonly state?: string }[];
    // Those of outside tools have no state here: they are not this node's to end.
    return runs.filter(({ state = "exited" }) => state !== "exited").map(({ run_id }) => run_id);
  }

  /** Processes that belong to this world, sandboxes included. */
  processes(): Promise<readonly ProcessEntry[]> {
    return findWorldProcesses(this.paths.directory);
  }

  async pids(role: Role): Promise<readonly number[]> {
    return (await this.processes()).filter(({ command }) => command.includes(SCRIPTS[role])).map(({ pid }) => pid);
  }

  /** Processes inside sandboxes: they are in a network namespace that is not ours. */
  async sandboxPids(): Promise<readonly number[]> {
    const all = await this.processes();
    const own = all.find(({ pid }) => pid === this.daemon.pid)?.networkNamespace;
    return all.filter(({ networkNamespace: ns }) => ns !== undefined && ns !== own).map(({ pid }) => pid);
  }

  /** `kill -9` of one gate process. */
  async killGate(role: "holder" | "worker"): Promise<void> {
    const [pid] = await this.pids(role);
    if (pid === undefined) throw new Error(`there is no ${role}`);
    process.kill(pid, "SIGKILL");
  }

  /** Every request record written so far. */
  async records(): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const folder = join(this.paths.stateDir, "records");
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".jsonl"));
    names.sort((a, b) => a.localeCompare(b));
    const texts = await Promise.all(names.map((name) => readFile(join(folder, name), "utf8")));
    const lines = texts.join("").split("\n");
    return lines.filter((line) => line !== "").map((line) => JSON.parse(line));
  }

  /** The first record that has all of these fields, now or soon: records are written in groups. */
  record(fields: Readonly<Record<string, unknown>>): Promise<Readonly<Record<string, unknown>>> {
    const matches = (record: Readonly<Record<string, unknown>>) =>
      Object.entries(fields).every(([name, value]) => record[name] === value);
    return eventually(`a record with ${JSON.stringify(fields)}`, async () => (await this.records()).find(matches));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#stopAll();
      await expectNoLeftovers(this.paths.directory);
    } finally {
      await killWorldProcesses(this.paths.directory);
      await this.#life[Symbol.asyncDispose]();
    }
  }

  async #stopAll(): Promise<void> {
    for (const running of this.#running) if (running.isRunning) running.kill("SIGTERM");
    await Promise.all(this.#running.map((running) => endSoon(running)));
    if (!this.daemon.isRunning) return;
    await this.#stopRuns();
    const code = await this.daemon.stop();
    if (code !== 0) throw new Error(`the daemon ended with ${code}: ${this.daemon.log.slice(-4_000)}`);
    const files = await findLiveFiles(this.paths.stateDir);
    const temporary = await readdir(join(this.paths.directory, "tmp"));
    const left = [...files, ...temporary.map((name) => `tmp/${name}`)];
    if (left.length > 0) throw new Error(`files left behind: ${left.join(", ")}`);
  }

  async #stopRuns(): Promise<void> {
    for (const runId of await this.liveRuns()) await this.cli(["stop", runId]);
  }

  /** Flags go before the sandboxed command, or at the end. */
  #withState(args: readonly string[]): readonly string[] {
    const dashes = args.indexOf("--");
    const end = dashes < 0 ? args.length : dashes;
    const state = args.includes("--state-dir") ? [] : ["--state-dir", this.paths.stateDir];
    const config = args[0] === "up" ? ["--config", this.paths.config] : [];
    return [...args.slice(0, end), ...state, ...config, ...args.slice(end)];
  }

  #runArguments(command: readonly string[], options: RunOptions): readonly string[] {
    // The variable marks the sandbox's processes as this world's: leftovers are found by it.
    const env = { TESTBED_WORLD: this.paths.directory, ...options.env };
    return [
      "run",
      ...(options.grants ?? []).flatMap((name) => ["--grant", name]),
      ...(options.allow ?? []).flatMap((host) => ["--allow", host]),
      ...(options.policy === undefined ? [] : ["--policy", options.policy]),
      ...Object.entries(env).flatMap(([name, value]) => ["--env", `${name}=${value}`]),
      ...(options.flags ?? []),
      "--",
      ...command,
    ];
  }
}

/** SIGKILL after five seconds. Its end counts, not that of its streams: what it left behind may hold them. */
async function endSoon(running: RunningCommand): Promise<void> {
  const overdue = setTimeout(() => running.kill("SIGKILL"), 5_000);
  try {
    await eventually("the end of a command", () => !running.isRunning);
  } finally {
    clearTimeout(overdue);
  }
}
