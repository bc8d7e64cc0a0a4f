import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Finished } from "../system/run-process.ts";
import { killWorldProcesses } from "./leftovers.ts";
import { Machine } from "./machine.ts";
import type { RunningCommand } from "./running-command.ts";

export interface FleetOptions {
  /** A PostgreSQL database instead of the embedded one. */
  readonly databaseUrl?: string;
  /** The origin by which all reach the server, when that is not where it listens. */
  readonly url?: string;
  /** `gatehouse up --listen` instead of `gatehouse server`: server and node over one state directory. */
  readonly isCombined?: boolean;
  /** What happens on the machine before the server is started for the first time. */
  readonly before?: (machine: Machine) => Promise<void>;
}

/** One process of several that serve the same fleet. */
export interface Replica {
  /** Where it listens on loopback. */
  readonly port: number;
  readonly command: RunningCommand;
}

interface Serving {
  /** Default: any free one. */
  readonly port?: number;
  readonly databaseUrl?: string | undefined;
}

type Served = Replica & { readonly url: string };

/** A server, an operator's machine and hosts, each with a state directory of its own, driven by the shipped command. */
export class Fleet implements AsyncDisposable {
  readonly #machine: Machine;
  readonly #options: FleetOptions;
  #server: Replica | undefined;
  #url = "";

  constructor(machine: Machine, options: FleetOptions) {
    this.#machine = machine;
    this.#options = options;
  }

  get directory(): string {
    return this.#machine.directory;
  }

  get url(): string {
    return this.#url;
  }

  get serverPid(): number {
    return this.#server?.command.pid ?? 0;
  }

  get serverPort(): number {
    return this.#server?.port ?? 0;
  }

  /** Everything that the server wrote. */
  get serverLog(): string {
    return `${this.#server?.command.stdout ?? ""}${this.#server?.command.stderr ?? ""}`;
  }

  path(...names: readonly string[]): string {
    return this.#machine.path(...names);
  }

  /** Starts the server, at the address that it had before. */
  async startServer(): Promise<void> {
    const { url, ...replica } = await this.#serve("s", { port: this.serverPort });
    this.#server = replica;
    this.#url = url;
  }

  /** Starts a further server over the same database, which it may reach another way, with a copy of the first one's keys. */
  async startReplica(name: string, databaseUrl?: string): Promise<Replica> {
    const own = this.path(name, "server");
    await mkdir(own, { recursive: true, mode: 0o700 });
    await chmod(this.path(name), 0o700);
    for (const part of ["identity.key", "keys"]) {
      await cp(this.path("s", "server", part), join(own, part), { recursive: true, preserveTimestamps: true });
    }
    return this.#serve(name, { databaseUrl });
  }

  async #serve(name: string, { port = 0, databaseUrl = this.#options.databaseUrl }: Serving): Promise<Served> {
    const { url, isCombined } = this.#options;
    const listen = ["--listen", `127.0.0.1:${port}`, ...(url === undefined ? [] : ["--url", url])];
    const own = [isCombined ? "up" : "server", "--state-dir", this.path(name), ...listen, "--json"];
    if (databaseUrl !== undefined) {
      const file = this.path(`${name}-database-url`);
      await writeFile(file, databaseUrl, { mode: 0o600 });
      own.push("--database-url-file", file);
    }
    const command = this.start(own);
    const ready = await command.line("the server's ready line", (line) => line.includes('"ready":true'));
    return { command, ...(JSON.parse(ready) as { url: string; port: number }) };
  }

  async stopServer(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.#server?.command.kill(signal);
    return (await this.#server?.command.finished)?.code ?? 0;
  }

  /** Makes an organisation with the server's first set-up code; its operator's state directory is `o`. */
  async initOrg(): Promise<Readonly<Record<string, string>>> {
    const code = ["--setup-code-file", this.path("s", "setup-code")];
    return this.json([
      "org",
      "init",
      "--server",
      this.url,
      ...code,
      "--org",
      "acme",
      "--owner",
      "ada",
      "--state-dir",
      this.path("o"),
    ]);
  }

  /** Runs an operator's command and returns the object that it printed. */
  operator(args: readonly string[]) {
    return this.json([...args, "--state-dir", this.path(this.#options.isCombined ? "s" : "o")]);
  }

  /** Enrolls a host as a person would: code, claim, fingerprint compared, confirmed. */
  async enrollHost(
    name: string,
    codeArgs: readonly string[] = [],
  ): Promise<{ readonly nodeId: string; readonly fingerprint: string }> {
    const code = this.path(`${name}.code`);
    await this.operator(["nodes", "enroll-code", "--out", code, ...codeArgs]);
    const claim = this.claim(name, code);
    const waiting = JSON.parse(await claim.line("the fingerprint", (line) => line.includes("fingerprint"))) as {
      node_id: string;
      fingerprint: string;
    };
    await this.operator(["nodes", "confirm", name, "--fingerprint", waiting.fingerprint]);
    await claim.line("the confirmation", (line) => line.includes('"confirmed"'));
    await claim.finished;
    return { nodeId: waiting.node_id, fingerprint: waiting.fingerprint };
  }

  /** Begins `node enroll` on a host. */
  claim(name: string, codeFile: string): RunningCommand {
    const own = ["node", "enroll", "--server", this.url, "--code-file", codeFile, "--name", name];
    return this.start([...own, "--state-dir", this.path(name), "--json"]);
  }

  /** Starts a command of the product that stays. */
  start(args: readonly string[]): RunningCommand {
    return this.#machine.start(args);
  }

  /** Starts a program that is not the product's. */
  startOther(command: readonly string[]): RunningCommand {
    return this.#machine.startOther(command);
  }

  /** Runs a command to its end, with this as its standard input. */
  run(args: readonly string[], stdin = ""): Promise<Finished> {
    return this.#machine.run(args, stdin);
  }

  /** Runs a command that must succeed, and reads what it printed. */
  json(args: readonly string[]) {
    return this.#machine.json(args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#machine[Symbol.asyncDispose]();
    // A run outlives its node's daemon; one that a test left would be there until its command ends.
    await killWorldProcesses(this.directory);
    await rm(this.directory, { recursive: true, force: true });
  }
}

/** Starts a server on loopback with everything around it below one directory. */
export async function startFleet(options: FleetOptions = {}): Promise<Fleet> {
  const directory = await mkdtemp(join(tmpdir(), "gatehouse-fleet-"));
  const machine = await Machine.open(directory);
  for (const name of ["s", "o"]) await mkdir(join(directory, name), { mode: 0o700 });
  const fleet = new Fleet(machine, options);
  try {
    await options.before?.(machine);
    await fleet.startServer();
    return fleet;
  } catch (failure) {
    await fleet[Symbol.asyncDispose]();
    throw failure;
  }
}
