import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runProcess } from "../system/run-process.ts";

export interface PostgresOptions {
  /** Whether commits wait for the disk: off unless the test kills the server. */
  readonly fsync?: boolean;
}

const NOBODY = 65_534;
const READY = /database system is ready to accept connections/;
const DATABASE = "gatehouse";

/** A real PostgreSQL on a Unix socket of its own, run by nobody. The database and its owner are called `gatehouse`. */
export class PostgresServer implements AsyncDisposable {
  readonly #directory: string;
  readonly #options: readonly string[];
  #process: ChildProcess | undefined;
  #ended: Promise<void> = Promise.resolve();

  constructor(directory: string, options: readonly string[]) {
    this.#directory = directory;
    this.#options = options;
  }

  /** How one connects by a port of loopback from which connections are passed on. */
  urlBy(port: number): string {
    return `postgresql://${DATABASE}@127.0.0.1:${port}/${DATABASE}`;
  }

  /** How a role connects; nobody asks for passwords. */
  url(role = DATABASE): string {
    return `postgresql://${role}@localhost/${DATABASE}?host=${this.#directory}`;
  }

  /** Where it listens, for whoever passes connections on to it. */
  get socketPath(): string {
    return join(this.#directory, ".s.PGSQL.5432");
  }

  /** Starts it over what it stored; settles when it answers. */
  async start(): Promise<void> {
    const options = ["-D", join(this.#directory, "data"), "-k", this.#directory, "-c", "listen_addresses="];
    const server = spawn(program("postgres"), [...options, ...this.#options], {
      ...AS,
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#process = server;
    this.#ended = new Promise((resolve) => server.once("close", () => resolve()));
    await new Promise<void>((resolve, reject) => {
      let said = "";
      server.stderr.on("data", (chunk: Buffer) => {
        said = `${said}${chunk}`.slice(-65_536);
        if (READY.test(said)) resolve();
      });
      server.once("close", () => reject(new Error(`postgres ended: ${said}`)));
    });
  }

  /** Ends it: at once and in order, or as a crash would. Settles when its processes are gone: they hold its stderr. */
  async stop(signal: "SIGQUIT" | "SIGKILL" = "SIGQUIT"): Promise<void> {
    this.#process?.kill(signal);
    await this.#ended;
  }

  /** Runs SQL as the superuser, in the database. */
  async sql(text: string, database = DATABASE): Promise<string> {
    const own = ["-h", this.#directory, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-At", "-c", text];
    const { code, stdout, stderr } = await runProcess("psql", own, { env: AS.env });
    if (code !== 0) throw new Error(stderr);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

const AS = { uid: NOBODY, gid: NOBODY, env: { PATH: process.env.PATH ?? "", LC_ALL: "C" } } as const;

/** Makes a database cluster and starts it. */
export async function openPostgres({ fsync = false }: PostgresOptions = {}): Promise<PostgresServer> {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-pg-"));
  chownSync(directory, NOBODY, NOBODY);
  await initialise(join(directory, "data"));
  const server = new PostgresServer(directory, fsync ? [] : ["-c", "fsync=off"]);
  try {
    await server.start();
    await server.sql(`create role ${DATABASE} login`, "postgres");
    await server.sql(`create database ${DATABASE} owner ${DATABASE}`, "postgres");
    return server;
  } catch (failure) {
    await server[Symbol.asyncDispose]();
    throw failure;
  }
}

function initialise(data: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const options = ["--no-sync", "-A", "trust", "-U", "postgres", "-D", data];
    const made = spawn(program("initdb"), options, { ...AS, stdio: "ignore" });
    made.once("error", reject);
    made.once("close", (code) => (code === 0 ? resolve() : reject(new Error(`initdb ended with ${code}`))));
  });
}

/** Debian keeps the server's programs beside one another in a directory of the version. */
function program(name: string): string {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base) : [];
  const found = versions.map((version) => join(base, version, "bin", name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error("PostgreSQL is not installed (Debian: postgresql-15)");
  return found;
}
