import { homedir } from "node:os";
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

function baseDirectory(env: Environment, name: string): string | undefined {
  const path = env[name];
  return path !== undefined && isAbsolute(path) ? path : undefined;
}

function home(env: Environment): string {
  const path = env.HOME;
  return path !== undefined && isAbsolute(path) ? path : homedir();
}
