import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Finished, runProcess } from "../system/run-process.ts";
import { productCommand, productEnvironment } from "./product.ts";
import { RunningCommand } from "./running-command.ts";

/** Directories that a machine has before anything runs on it. */
const FOLDERS = ["home", "tmp", "config", "bin"] as const;

/** A machine with the shipped command on it: what it keeps lies below one directory. Disposing ends what runs there. */
export class Machine implements AsyncDisposable {
  readonly directory: string;
  readonly #env: Readonly<Record<string, string>>;
  readonly #inside: readonly string[];
  readonly #running = new Set<RunningCommand>();

  private constructor(directory: string, inside: readonly string[]) {
    this.directory = directory;
    this.#inside = inside;
    const env = productEnvironment(directory);
    this.#env = { ...env, PATH: `${join(directory, "bin")}:${env.PATH ?? ""}` };
  }

  /**
   * Sets one up in a directory, which need not be there. `inside` is the command that leads to where it is, if it is
   * elsewhere.
   */
  static async open(directory: string, inside: readonly string[] = []): Promise<Machine> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    for (const name of FOLDERS) await mkdir(join(directory, name), { mode: 0o700 });
    const command = join(directory, "bin", "gatehouse");
    await writeFile(command, `#!/bin/sh\nexec ${productCommand().join(" ")} "$@"\n`);
    await chmod(command, 0o755);
    return new Machine(directory, inside);
  }

  path(...names: readonly string[]): string {
    return join(this.directory, ...names);
  }

  /** Starts a command of the product that stays. */
  start(args: readonly string[]): RunningCommand {
    return this.startOther([...productCommand(), ...args]);
  }

  /** Starts a program that is not the product's, or a shell with what a person types. */
  startOther(command: readonly string[]): RunningCommand {
    const running = new RunningCommand([...this.#inside, ...command], { env: this.#env, cwd: this.directory });
    this.#running.add(running);
    return running;
  }

  /** Runs a command of the product to its end, with this as its standard input. */
  run(args: readonly string[], stdin = ""): Promise<Finished> {
    return this.runOther([...productCommand(), ...args], stdin);
  }

  runOther(command: readonly string[], stdin = ""): Promise<Finished> {
    const [program = "", ...args] = [...this.#inside, ...command];
    return runProcess(program, args, { env: this.#env, cwd: this.directory, stdin });
  }

  /** Runs a command that must succeed, and reads the JSON that it printed. */
  async json(args: readonly string[]) {
    const { code, stdout, stderr } = await this.run([...args, "--json"]);
    if (code !== 0) throw new Error(`gatehouse ${args.join(" ")}: exit ${code}\n${stdout}${stderr}`);
    return JSON.parse(stdout);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#running) {
      if (running.isRunning) running.kill("SIGTERM");
      await running.finished;
    }
  }
}
