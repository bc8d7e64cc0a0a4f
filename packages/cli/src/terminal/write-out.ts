/** Writes bytes to standard output, or to standard error, no faster than it takes them. */
export function writeOut(bytes: Uint8Array, stream: "stdout" | "stderr" = "stdout"): Promise<void> {
  return new Promise((resolve, reject) => {
    process[stream].write(bytes, (failure) => (failure ? reject(failure) : resolve()));
  });
}
