/** Runs a command through a shell's `exec`, so that one that is missing ends with 127 and one not executable with 126. */
export function viaShell(command: readonly string[]): readonly string[] {
  return ["/bin/sh", "-c", 'exec "$@"', "sh", ...command];
}

/**
 * As `viaShell`, once a line comes on the descriptor. When its other end is gone instead, nothing is run: a keeper that
 * was killed meanwhile releases nobody.
 */
export function onceReleased(command: readonly string[], fd: number): readonly string[] {
  const script = `read -r go <&${fd} || exit 125; exec ${fd}<&-; exec "$@"`;
  return ["/bin/sh", "-c", script, "sh", ...command];
}

/** Gives a command a pseudo-terminal of its own: what it does to it stays there. */
export function inOwnTerminal(command: readonly string[]): readonly string[] {
  return ["script", "-qec", `exec ${command.map(quote).join(" ")}`, "/dev/null"];
}

/** The kernel kills the command when the process that spawned it dies, however it dies. */
export function untilParentDies(command: readonly string[]): readonly string[] {
  return ["setpriv", "--pdeathsig", "KILL", "--", ...command];
}

/** One word for a POSIX shell. */
export function quote(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
