/** Writes bytes to standard output, no faster than it takes them. */
export function writeOut(bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (failure) => (failure ? reject(failure) : resolve()));
  });
}
