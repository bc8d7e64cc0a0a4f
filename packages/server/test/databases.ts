import { spawn, spawnSync } from "node:child_process";
import { chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreLocation } from "../src/index.ts";

/** A database of a test's own, and how to end it. */
export interface TestDatabase extends AsyncDisposable {
  readonly location: StoreLocation;
}

/** Every kind of database that the store must behave alike on. */
export const DATABASES = [
  { name: "SQLite", open: openSqlite },
  { name: "PostgreSQL", open: openPostgres },
] as const;

async function openSqlite(): Promise<TestDatabase> {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-sqlite-"));
  return {
    location: { kind: "sqlite", path: join(directory, "server.db") },
    [Symbol.asyncDispose]: async () => rmSync(directory, { recursive: true, force: true }),
  };
}

const NOBODY = 65_534;
const READY = /database system is ready to accept connections/;

/** A PostgreSQL server on a Unix socket of its own, run by nobody, with an owner and a serving role. */
async function openPostgres(): Promise<TestDatabase> {
  const directory = mkdtempSync(join(tmpdir(), "gatehouse-pg-"));
  chownSync(directory, NOBODY, NOBODY);
  const as = { uid: NOBODY, gid: NOBODY, env: { PATH: process.env.PATH, LC_ALL: "C" } } as const;
  const data = join(directory, "data");
  must(
    spawnSync(binary("initdb"), ["--no-sync", "-A", "trust", "-U", "postgres", "-D", data], {
      ...as,
      encoding: "utf8",
    }),
  );
  const options = ["-D", data, "-k", directory, "-c", "listen_addresses=", "-c", "fsync=off"];
  const server = spawn(binary("postgres"), options, { ...as, stdio: ["ignore", "ignore", "pipe"] });
  const ended = new Promise<void>((resolve) => server.once("exit", () => resolve()));
  await new Promise<void>((resolve, reject) => {
    let said = "";
    server.stderr.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (READY.test(said)) resolve();
    });
    server.once("exit", () => reject(new Error(`postgres ended: ${said}`)));
  });
  const sql = "create role gatehouse login; create database gatehouse owner gatehouse";
  for (const statement of sql.split("; ")) {
    must(spawnSync(binary("psql"), ["-h", directory, "-U", "postgres", "-c", statement], { ...as, encoding: "utf8" }));
  }
  return {
    location: { kind: "postgres", url: `postgresql://gatehouse@localhost/gatehouse?host=${directory}` },
    [Symbol.asyncDispose]: async () => {
      server.kill("SIGQUIT");
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** Debian keeps the server's programs beside one another in a directory of the version. */
function binary(name: string): string {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? readdirSync(base) : [];
  const found = versions.map((version) => join(base, version, "bin", name)).find((path) => existsSync(path));
  if (found === undefined) throw new Error("PostgreSQL is not installed (Debian: postgresql-15)");
  return found;
}

function must(done: ReturnType<typeof spawnSync>): void {
  if (done.status !== 0) throw new Error(`${done.stdout}${done.stderr}`);
}
