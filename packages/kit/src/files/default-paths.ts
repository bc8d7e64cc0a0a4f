import { userInfo } from "node:os";
import { isAbsolute, join } from "node:path";

type Environment = Readonly<Record<string, string | undefined>>;

/** `$XDG_STATE_HOME/gatehouse`, else `~/.local/state/gatehouse`. A relative XDG path is ignored, as its spec says. */
export function defaultStateDir(env: Environment): string {
  return join(baseDirectory(env, "XDG_STATE_HOME") ?? join(home(env), ".local", "state"), "gatehouse");
}

/** `$XDG_CONFIG_HOME/gatehouse/config.yaml`, else `~/.config/gatehouse/config.yaml`. It need not exist. */
export function defaultConfigFile(env: Environment): string {
  return join(baseDirectory(env, "XDG_CONFIG_HOME") ?? join(home(env), ".config"), "gatehouse", "config.yaml");
}

/** `$XDG_DATA_HOME/gatehouse/workspaces`, else `~/.local/share/gatehouse/workspaces`. */
export function defaultWorkspaceRoots(env: Environment): readonly string[] {
  return [join(baseDirectory(env, "XDG_DATA_HOME") ?? join(home(env), ".local", "share"), "gatehouse", "workspaces")];
}

/** Where Docker Engine and Podman usually serve, for the system and for this user. */
export function defaultEngineSockets(env: Environment): readonly string[] {
  const runtime = baseDirectory(env, "XDG_RUNTIME_DIR");
  const own = runtime === undefined ? [] : [join(runtime, "docker.sock"), join(runtime, "podman", "podman.sock")];
  return ["/var/run/docker.sock", "/run/podman/podman.sock", ...own];
}

function baseDirectory(env: Environment, name: string): string | undefined {
  const path = env[name];
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

function home(env: Environment): string {
  const path = env.HOME;
  // An empty or relative HOME leads into the working directory, and what lies there may be anybody's.
  return path !== undefined && isAbsolute(path) ? path : userInfo().homedir;
}
