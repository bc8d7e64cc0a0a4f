import { readFileSync } from "node:fs";

/** One mount of the host, as this process sees it. */
export interface HostMount {
  readonly point: string;
  readonly options: readonly string[];
}

/** Options that a user namespace may not take away from a mount that it was given; a remount must repeat them. */
const LOCKED: readonly string[] = ["ro", "noexec"];

/** The mounts of this process's namespace, in the order in which they were made (proc_pid_mountinfo(5)). */
export function readHostMounts(): readonly HostMount[] {
  return parseMountinfo(readFileSync("/proc/self/mountinfo", "utf8"));
}

/** Reads the text of a `mountinfo` file. */
export function parseMountinfo(text: string): readonly HostMount[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, , , , point = "", options = ""] = line.split(" ");
      return { point: unescapeOctal(point), options: options.split(",") };
    });
}

/** What a remount of a bind of `path` must repeat. */
export function lockedOptions(mounts: readonly HostMount[], path: string): readonly string[] {
  let holder: HostMount | undefined;
  for (const mount of mounts) {
    // Of two on one point the later is on top.
    if (isAtOrBelow(path, mount.point) && mount.point.length >= (holder?.point.length ?? 0)) holder = mount;
  }
  return LOCKED.filter((option) => holder?.options.includes(option));
}

/** Points of mounts that lie below a directory, parents first. */
export function mountsBelow(mounts: readonly HostMount[], path: string): readonly string[] {
  const points = mounts.map(({ point }) => point).filter((point) => point !== path && isAtOrBelow(point, path));
  return [...new Set(points)].sort();
}

function isAtOrBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith("/") ? folder : `${folder}/`);
}

function unescapeOctal(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
