import { FD, type SandboxLaunch, type SandboxSpec } from "./driver.ts";

/**
 * Where the tools that build sandboxes are looked for, and nowhere else: the caller's own PATH may lead into a
 * workspace (npm puts `node_modules/.bin` there), and what an agent left in it would run outside.
 */
const TOOL_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/run/current-system/sw/bin";

/** The whole environment of a tool that builds a sandbox. No variable that a run asked for reaches it. */
export function toolEnvironment(): Record<string, string> {
  const { TERM } = process.env;
  return { PATH: TOOL_PATH, LC_ALL: "C", ...(TERM === undefined ? {} : { TERM }) };
}

/** Runs a command through a shell's `exec`, so that one that is missing ends with 127 and one not executable with 126. */
function viaShell(command: readonly string[]): readonly string[] {
  return ["/bin/sh", "-c", 'exec "$@"', "sh", ...command];
}

/**
 * As `viaShell`, once a line comes on the descriptor; those between keeper and sandbox are closed then. When its other
 * end is gone instead, nothing is run: a keeper that was killed meanwhile releases nobody.
 */
export function onceReleased(command: readonly string[]): readonly string[] {
  const close = Object.values(FD)
    .map((fd) => `${fd}<&-`)
    .join(" ");
  const script = `read -r go <&${FD.release} || exit 125; exec ${close}; exec "$@"`;
  return ["/bin/sh", "-c", script, "sh", ...command];
}

/** Gives a command a pseudo-terminal of its own: what it does to it stays there. */
function inOwnTerminal(command: readonly string[]): readonly string[] {
  return ["script", "-qec", `exec ${command.map(quote).join(" ")}`, "/dev/null"];
}

/**
 * The command as it runs inside. At a terminal it gets one made inside, whose sessions and groups are those of its own
 * process namespace: shells need them for job control.
 */
export function insideCommand({ command, isTerminal }: Pick<SandboxSpec, "command" | "isTerminal">): readonly string[] {
  return isTerminal ? inOwnTerminal(viaShell(command)) : command;
}

/**
 * The kernel kills the command when this process dies, however it dies. One that died before the kernel was asked is
 * seen by the parent that the command has then.
 */
export function untilParentDies(command: readonly string[]): readonly string[] {
  const check = '[ "$PPID" = "$0" ] || exit 125; exec "$@"';
  return ["setpriv", "--pdeathsig", "KILL", "--", "/bin/sh", "-c", check, String(process.pid), ...command];
}

/** What a keeper spawns so that it holds a command: both end together, and at a terminal it has one of its own. */
export function heldBy(
  command: readonly string[],
  { isTerminal }: Pick<SandboxSpec, "isTerminal">,
): Pick<SandboxLaunch, "file" | "args" | "isTerminal"> {
  const [file = "", ...args] = untilParentDies(isTerminal ? inOwnTerminal(command) : command);
  return { file, args, isTerminal };
}

/** One word for a POSIX shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
