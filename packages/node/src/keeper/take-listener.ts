import { spawn } from "node:child_process";
import { once } from "node:events";
import { Problem } from "@gatehouse/core";
import { childEnvironment, resolveEntry } from "@gatehouse/kit";

/** A listening descriptor that nobody accepts on yet. */
export interface HeldListener extends Disposable {
  readonly fd: number;
}

interface NativeHandle {
  readonly fd: number;
  close(): void;
}

const OPEN_TIMEOUT_MS = 10_000;

/** Opens a listener inside the network namespace of a sandbox's init and holds it. Fails with `sandbox.start_failed`. */
export async function takeListener(initPid: number): Promise<HeldListener> {
  const opener = spawn(
    "nsenter",
    [
      "--target",
      String(initPid),
      "--user",
      "--net",
      "--preserve-credentials",
      "--",
      process.execPath,
      resolveEntry("open-listener"),
    ],
    { stdio: ["ignore", "ignore", "pipe", "ipc"], env: childEnvironment(), timeout: OPEN_TIMEOUT_MS },
  );
  let complaint = "";
  opener.stderr?.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2_000);
  });
  const exited = once(opener, "exit");
  const handle = await new Promise<NativeHandle | undefined>((resolve) => {
    opener.once("message", (_message, sent) => resolve(sent as unknown as NativeHandle));
    opener.once("error", () => resolve(undefined));
    void exited.then(() => resolve(undefined));
  });
  await exited;
  if (handle === undefined || handle.fd < 0) {
    throw new Problem("sandbox.start_failed", {
      detail: "Its listener could not be opened.",
      cause: new Error(complaint),
    });
  }
  return { fd: handle.fd, [Symbol.dispose]: () => handle.close() };
}
