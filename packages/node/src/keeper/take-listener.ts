import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync } from "node:fs";
import { Problem } from "@gatehouse/core";
import { childEnvironment, native, resolveEntry } from "@gatehouse/kit";
import { toolEnvironment } from "../sandbox/wrap-command.ts";

/** A listening descriptor that nobody accepts on yet. */
export interface HeldListener extends Disposable {
  readonly fd: number;
}

interface NativeHandle {
  readonly fd: number;
  close(): void;
}

const OPEN_TIMEOUT_MS = 10_000;
/** Where the opener finds the user namespace: behind its streams and the channel. */
const OWNER_FD = 4;

/** Opens a listener inside the network namespace of a sandbox's init and holds it. Fails with `sandbox.start_failed`. */
export async function takeListener(initPid: number): Promise<HeldListener> {
  const network = `/proc/${initPid}/ns/net`;
  // Not the user namespace that the init is in: it may have moved to one that has no right over the network.
  const owner = native.openOwnerOfNamespace(network);
  const namespaces = [`--user=/proc/self/fd/${OWNER_FD}`, `--net=${network}`, "--preserve-credentials"];
  const opener = spawn("nsenter", [...namespaces, "--", process.execPath, resolveEntry("open-listener")], {
    stdio: ["ignore", "ignore", "pipe", "ipc", owner],
    env: childEnvironment(toolEnvironment()),
    timeout: OPEN_TIMEOUT_MS,
  });
  closeSync(owner);
  let complaint = "";
  opener.stderr?.on("data", (chunk: Buffer) => {
    complaint = (complaint + chunk.toString()).slice(-2_000);
  });
  const handle = await new Promise<NativeHandle | undefined>((resolve) => {
    opener.once("message", ({ failed }: { readonly failed?: string }, sent) => {
      complaint = failed ?? complaint;
      resolve(sent as unknown as NativeHandle | undefined);
    });
    opener.once("error", () => resolve(undefined));
    // Not the exit: the message may still be on its way then.
    opener.once("disconnect", () => resolve(undefined));
  });
  if (opener.pid !== undefined && opener.exitCode === null && opener.signalCode === null) await once(opener, "exit");
  if (handle === undefined || handle.fd < 0) {
    const said = complaint.trim().split("\n").at(-1) ?? "";
    throw new Problem("sandbox.start_failed", { detail: `Its listener could not be opened. ${said.slice(0, 200)}` });
  }
  return { fd: handle.fd, [Symbol.dispose]: () => handle.close() };
}
