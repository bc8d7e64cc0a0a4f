import { getSystemErrorMessage } from "node:util";

/** What a shell says of a command that SIGPIPE ended, which Node.js ignores. */
const EXIT_CLOSED = 141;
const EXIT_FAILED = 1;

/**
 * Ends the process without a word once nobody reads what it prints, as `head` does and a window that was closed, and
 * with one where it cannot be written (a full disk); what serves others ends in order.
 */
export function endOnClosedOutput(): void {
  let isOver = false;
  const onFailure = (failure: NodeJS.ErrnoException) => {
    if (failure.syscall !== "write" || failure.errno === undefined) throw failure;
    if (isOver) return;
    isOver = true;
    const isGone = isReaderGone(failure);
    if (!isGone) {
      process.stderr.write(`gatehouse: The output cannot be written: ${getSystemErrorMessage(failure.errno)}.\n`);
    }
    if (process.listenerCount("SIGTERM") === 0) process.exit(isGone ? EXIT_CLOSED : EXIT_FAILED);
    process.kill(process.pid, "SIGTERM");
  };
  process.stdout.on("error", onFailure);
  process.stderr.on("error", onFailure);
}

/** Whether a write failed because nobody reads: a pipe without its other end, or a terminal without its window. */
export function isReaderGone(failure: unknown): boolean {
  const { code, syscall } = failure as NodeJS.ErrnoException;
  if (syscall !== "write") return false;
  return code === "EPIPE" || (code === "EIO" && (process.stdout.isTTY || process.stderr.isTTY));
}
