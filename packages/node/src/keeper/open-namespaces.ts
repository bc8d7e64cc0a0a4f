import { closeSync, fstatSync, openSync, readFileSync, statSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { Problem } from "@gatehouse/core";
import { errorCode, native } from "@gatehouse/kit";
import { identityOf } from "../runs/workspace.ts";
import { childOf } from "./process-tree.ts";

/** What somebody needs who joins a run: its namespaces, as descriptors, and what its init was given. */
export interface RunNamespaces extends Disposable {
  /** The user namespace that owns the others. */
  readonly owner: number;
  readonly cgroup: number;
  readonly ipc: number;
  readonly uts: number;
  readonly net: number;
  readonly mnt: number;
  readonly pid: number;
  /** The user namespace of the run's command, one below the owner. */
  readonly user: number;
  readonly umask: string;
}

const SHARED = ["cgroup", "ipc", "uts", "net", "mnt", "pid"] as const;
/** A control group namespace is where the kernel has it. */
const MAY_BE_OURS: readonly string[] = ["cgroup"];
const CONFINED_WITHIN_MS = 5_000;
const LOOK_EVERY_MS = 5;

/**
 * Opens the namespaces of a run whose init is `initPid`, and `heldInit` its directory in /proc, opened while it was
 * known to live: what is read through it is of this very process. Fails with `exec.start_failed` where it ended, or one
 * of its namespaces is this process's own.
 */
export async function openNamespaces(initPid: number, heldInit: number): Promise<RunNamespaces> {
  using opened = new DisposableStack();
  const keep = (fd: number) => opened.adopt(fd, closeSync);
  try {
    const init = `/proc/self/fd/${heldInit}`;
    const [cgroup = -1, ipc = -1, uts = -1, net = -1, mnt = -1, pid = -1] = SHARED.map((name) => {
      const isOurs = identityAt(`${init}/ns/${name}`) === identityAt(`/proc/self/ns/${name}`);
      if (isOurs && !MAY_BE_OURS.includes(name)) throw failed(`Its ${name} namespace is the host's.`);
      return keep(openSync(`${init}/ns/${name}`, "r"));
    });
    const owner = keep(native.openOwnerOfNamespace(`${init}/ns/net`));
    const umask = /^Umask:\s+(\d+)$/m.exec(readFileSync(`${init}/status`, "utf8"))?.[1] ?? "0077";
    const user = keep(await openUserOfCommand(initPid, owner));
    const held = opened.move();
    return { owner, cgroup, ipc, uts, net, mnt, pid, user, umask, [Symbol.dispose]: () => held.dispose() };
  } catch (failure) {
    throw failure instanceof Problem ? failure : failed("It has ended.", failure);
  }
}

/**
 * The command is the first of the init's children, and is on its way into its own user namespace for a moment. Another
 * process that took its number is not in one below the owner.
 */
async function openUserOfCommand(initPid: number, owner: number): Promise<number> {
  const deadline = performance.now() + CONFINED_WITHIN_MS;
  for (;;) {
    const fd = openUserBelow(childOf(initPid), owner);
    if (fd !== undefined) return fd;
    if (performance.now() > deadline) throw failed("Its command was not found.");
    await delay(LOOK_EVERY_MS);
  }
}

function openUserBelow(pid: number | undefined, owner: number): number | undefined {
  if (pid === undefined) return undefined;
  let fd: number;
  try {
    fd = openSync(`/proc/${pid}/ns/user`, "r");
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return undefined;
    throw failure;
  }
  const parent = native.openParentOfNamespace(fd);
  const isBelow = parent !== undefined && identityOfOpen(parent) === identityOfOpen(owner);
  if (parent !== undefined) closeSync(parent);
  if (isBelow) return fd;
  closeSync(fd);
  return undefined;
}

function identityAt(path: string): string {
  return identityOf(statSync(path, { bigint: true }));
}

function identityOfOpen(fd: number): string {
  return identityOf(fstatSync(fd, { bigint: true }));
}

function failed(detail: string, cause?: unknown): Problem {
  return new Problem("exec.start_failed", { detail, cause });
}
