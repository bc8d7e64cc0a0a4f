import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Lifetime } from "@gatehouse/core";
import { createTestAuthority } from "../services/test-authority.ts";
import { WorldDaemon } from "./daemon.ts";
import { productCommand, productEnvironment } from "./product.ts";
import { World, type WorldPaths } from "./world.ts";

export interface WorldOptions {
  /** Sections of `config.yaml` beside those that the world needs itself. */
  readonly settings?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Further names of the outside world and the loopback address of each. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Default: a directory of the world's own. */
  readonly stateDir?: string;
  /** Further variables of the daemon. */
  readonly variables?: Readonly<Record<string, string>>;
  /** `false`: the daemon is left to the test. */
  readonly isStarted?: boolean;
}

/** Names of the outside world that the gate of every world finds on loopback. */
const WORLD_HOSTS = [
  "api.example.test",
  "other.example.test",
  "denied.example.test",
  "git.example.test",
  "registry.example.test",
  "pypi.example.test",
  "crates.example.test",
] as const;

/**
 * Starts the built product on a state of its own: real daemon, gate and sandboxes, the outside world on loopback.
 * Disposing of it stops everything and fails if a process, mount, socket or file of it is left.
 */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const life = new Lifetime();
  try {
    const directory = await mkdtemp(join(tmpdir(), "gh-world-"));
    life.defer(() => rm(directory, { recursive: true, force: true }));
    const authority = await createTestAuthority();
    const paths = await layOut(directory, options.stateDir ?? join(directory, "state"));
    await writeFile(join(directory, "upstream-ca.pem"), authority.certificatePem);
    await writeFile(paths.config, JSON.stringify(settings(directory, options)));
    const flags = ["up", "--json", "--state-dir", paths.stateDir, "--config", paths.config];
    const env = { ...productEnvironment(directory), ...options.variables };
    const daemon = new WorldDaemon([...productCommand(), ...flags], { env, cwd: paths.workspace });
    const world = new World({ paths, authority, daemon, life });
    if (options.isStarted !== false) await world.daemon.start();
    return world;
  } catch (failure) {
    await life[Symbol.asyncDispose]();
    throw failure;
  }
}

async function layOut(directory: string, stateDir: string): Promise<WorldPaths> {
  for (const name of ["workspace", "home", "tmp", "config"]) await mkdir(join(directory, name));
  return {
    directory,
    stateDir,
    workspace: join(directory, "workspace"),
    config: join(directory, "config.yaml"),
  };
}

function settings(directory: string, options: WorldOptions): unknown {
  const hosts = { ...Object.fromEntries(WORLD_HOSTS.map((name) => [name, "127.0.0.1"])), ...options.hosts };
  const own = options.settings ?? {};
  return {
    ...own,
    gate: { workers: 2, engines: [], hosts, upstreamCa: join(directory, "upstream-ca.pem"), ...own.gate },
    log: { level: "debug", ...own.log },
  };
}
