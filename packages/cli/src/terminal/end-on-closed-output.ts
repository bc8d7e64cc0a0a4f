/** What a shell says of a command that SIGPIPE ended, which Node.js ignores. */
const EXIT_CLOSED = 141;

/**
 * Ends the process without a word once nobody reads what it prints, as `head` does and a window that was closed; what
 * serves others ends in order.
 */
export function endOnClosedOutput(): void {
  let isClosed = false;
  const onFailure = (failure: Error) => {
    if (!isReaderGone(failure)) throw failure;
    if (isClosed) return;
    isClosed = true;
    if (process.listenerCount("SIGTERM") === 0) process.exit(EXIT_CLOSED);
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
