import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProcessTree, isAlive, productCommand, productEnvironment, RunningCommand } from "@gatehouse/testbed";

export interface StartOptions {
  /** A program and its arguments that start the server with what follows them: a tracer, a namespace. */
  readonly inside?: readonly string[];
  readonly databaseUrlFile?: string;
  /** By which it is known, where that is not where it listens. */
  readonly url?: string;
}

/** A state directory in which servers live one after the other, as processes of their own, at one address. */
export class ServerProcess implements AsyncDisposable {
  readonly root = mkdtempSync(join(tmpdir(), "gatehouse-faults-"));
  readonly stateDir = join(this.root, "s");
  #running: { readonly command: RunningCommand; readonly pid: number } | undefined;
  #port = 0;

  constructor() {
    for (const name of ["s", "home", "tmp", "config"]) mkdirSync(join(this.root, name), { mode: 0o700 });
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  get pid(): number {
    return this.#running?.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#running?.command.isRunning ?? false;
  }

  /** What it said on its way. */
  get output(): string {
    const { stdout = "", stderr = "" } = this.#running?.command ?? {};
    return `${stdout}${stderr}`;
  }

  /** Fails as its start fails; nothing of it is left then. */
  async start({ inside = [], databaseUrlFile, url }: StartOptions = {}): Promise<void> {
    const own = ["server", "--state-dir", this.stateDir, "--listen", `127.0.0.1:${this.#port}`, "--json"];
    const database = databaseUrlFile === undefined ? [] : ["--database-url-file", databaseUrlFile];
    const known = url === undefined ? [] : ["--url", url];
    const env = productEnvironment(this.root);
    const command = new RunningCommand([...inside, ...productCommand(), ...own, ...database, ...known], { env });
    try {
      const ready = await command.line("the server's ready line", (line) => line.includes('"ready":true'));
      const { pid, port } = JSON.parse(ready) as { pid: number; port: number };
      this.#port = port;
      this.#running = { command, pid };
    } catch (failure) {
      for (const { pid } of await this.#processes()) process.kill(pid, "SIGKILL");
      await command.finished;
      throw failure;
    }
  }

  /** What was started here, and a tracer with it, in whatever state. */
  #processes() {
    return findProcessTree(({ command }) => command.includes(this.stateDir));
  }

  async stop(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const { command, pid } = this.#running ?? {};
    if (command === undefined || pid === undefined) return;
    // A tracer goes when what it traces is gone; were it killed, that would go on.
    if (await isAlive(pid)) process.kill(pid, signal);
    await command.finished;
    this.#running = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop("SIGTERM");
    rmSync(this.root, { recursive: true, force: true });
  }
}
