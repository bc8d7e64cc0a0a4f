import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { takeListener } from "../src/keeper/take-listener.ts";
import { until } from "./until.ts";

/** The namespaces of a sandbox as bubblewrap leaves them for a moment: no user is named, the loopback is down. */
async function openUnnamedNamespaces(): Promise<ChildProcess & AsyncDisposable> {
  const child = spawn("unshare", ["--user", "--net", "sh", "-c", "echo there; exec sleep 1000"], { detached: true });
  if (child.stdout !== null) await once(child.stdout, "data");
  return Object.assign(child, {
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await once(child, "exit");
    },
  });
}

/** Whether Node runs in the network namespace of a process. */
function isEntered(sandbox: number): boolean {
  const network = linkOf(`${sandbox}/ns/net`);
  const processes = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return processes.some((pid) => linkOf(`${pid}/ns/net`) === network && linkOf(`${pid}/exe`) === process.execPath);
}

function linkOf(path: string): string {
  try {
    return readlinkSync(`/proc/${path}`);
  } catch {
    return "";
  }
}

test("a listener waits for the loopback of a sandbox whose users are not named yet, and says why there is none", async () => {
  await using place = await openUnnamedNamespaces();
  const pid = place.pid ?? 0;
  const taking = takeListener(pid);
  // Whoever entered by now is nobody in there, and stays so.
  await until(() => isEntered(pid));
  writeFileSync(`/proc/${pid}/uid_map`, `0 ${process.getuid?.()} 1`);
  const enter = ["--target", String(pid), "--user", "--net", "--preserve-credentials", "ip", "link", "set", "lo", "up"];
  expect((await once(spawn("nsenter", enter), "exit"))[0]).toBe(0);
  using listener = await taking;
  expect(listener.fd).toBeGreaterThan(2);
  await expect(takeListener(pid)).rejects.toMatchObject({
    code: "sandbox.start_failed",
    detail: "Its listener could not be opened. listen EADDRINUSE: address already in use 127.0.0.1:3128",
  });
});
