/** What a shell says of a command that SIGPIPE ended, which Node.js ignores. */
const EXIT_CLOSED = 141;

/** Ends the process without a word once nobody reads what it prints, as `head` does; what serves others ends in order. */
export function endOnClosedOutput(): void {
  let isClosed = false;
  const onFailure = (failure: NodeJS.ErrnoException) => {
    if (failure.code !== "EPIPE") throw failure;
    if (isClosed) return;
    isClosed = true;
    if (process.listenerCount("SIGTERM") === 0) process.exit(EXIT_CLOSED);
    process.kill(process.pid, "SIGTERM");
  };
  process.stdout.on("error", onFailure);
  process.stderr.on("error", onFailure);
}
