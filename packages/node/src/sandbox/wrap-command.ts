import { FD, type SandboxSpec } from "./driver.ts";

/** Runs a command through a shell's `exec`, so that one that is missing ends with 127 and one not executable with 126. */
export function viaShell(command: readonly string[]): readonly string[] {
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
export function inOwnTerminal(command: readonly string[]): readonly string[] {
  return ["script", "-qec", `exec ${command.map(quote).join(" ")}`, "/dev/null"];
}

/**
 * The command as it runs inside. At a terminal it gets one made inside, whose sessions and groups are those of its own
 * process namespace: shells need them for job control.
 */
export function insideCommand({ command, isTerminal }: SandboxSpec): readonly string[] {
  return isTerminal ? inOwnTerminal(viaShell(command)) : command;
}

/** The kernel kills the command when the process that spawned it dies, however it dies. */
export function untilParentDies(command: readonly string[]): readonly string[] {
  return ["setpriv", "--pdeathsig", "KILL", "--", ...command];
}

/** One word for a POSIX shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
