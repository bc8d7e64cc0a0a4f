/** What a shell says of a command that SIGPIPE ended, which Node.js ignores. */
const EXIT_CLOSED = 141;

/** A pipe without a reader, a terminal whose window is gone. */
const CLOSED: ReadonlySet<string> = new Set(["EPIPE", "EIO"]);

/** Ends the process without a word once nobody reads what it prints, as `head` does; what serves others ends in order. */
export function endOnClosedOutput(): void {
  let isClosed = false;
  const onFailure = (failure: NodeJS.ErrnoException) => {
    if (failure.code === undefined || !CLOSED.has(failure.code)) throw failure;
    if (isClosed) return;
    isClosed = true;
    if (process.listenerCount("SIGTERM") === 0) process.exit(EXIT_CLOSED);
    process.kill(process.pid, "SIGTERM");
  };
  process.stdout.on("error", onFailure);
  process.stderr.on("error", onFailure);
}
