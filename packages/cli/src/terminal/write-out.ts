import { isReaderGone } from "./end-on-closed-output.ts";

/** Writes bytes to standard output, or to standard error, no faster than it takes them. */
export function writeOut(bytes: Uint8Array, stream: "stdout" | "stderr" = "stdout"): Promise<void> {
  return new Promise((resolve, reject) => {
    process[stream].write(bytes, (failure) => (failure ? reject(failure) : resolve()));
  });
}

/** The same, for what goes on when nobody reads: the rest is thrown away then. */
export async function writeToReader(bytes: Uint8Array, stream: "stdout" | "stderr" = "stdout"): Promise<void> {
  await writeOut(bytes, stream).catch((failure: unknown) => {
    if (!isReaderGone(failure)) throw failure;
  });
}
