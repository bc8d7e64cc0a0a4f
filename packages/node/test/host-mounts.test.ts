import { expect, test } from "vitest";
import { lockedOptions, mountsBelow, parseMountinfo } from "../src/sandbox/host-mounts.ts";

const MOUNTS = parseMountinfo(`22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /home rw,nosuid,nodev,noexec - ext4 /dev/vdb rw
24 23 0:22 / /home/ada/my\\040work rw,relatime - tmpfs tmpfs rw
25 24 0:23 / /home/ada/my\\040work/deep ro,relatime - tmpfs tmpfs rw
26 22 0:24 / /home2 ro,relatime - tmpfs tmpfs rw
27 26 0:25 / /home2 rw,relatime - tmpfs tmpfs rw
`);

test("a bind repeats what may not be taken away from the mount that holds it", () => {
  expect(lockedOptions(MOUNTS, "/srv/work")).toEqual([]);
  expect(lockedOptions(MOUNTS, "/home/ada")).toEqual(["noexec"]);
  expect(lockedOptions(MOUNTS, "/home/ada/my work/src")).toEqual([]);
  expect(lockedOptions(MOUNTS, "/home/ada/my work/deep")).toEqual(["ro"]);
});

test("of two mounts on one point the later counts, and a longer name is another directory", () => {
  expect(lockedOptions(MOUNTS, "/home2/x")).toEqual([]);
  expect(lockedOptions(MOUNTS, "/homely")).toEqual([]);
});

test("mounts below a directory are named with their spaces, parents first, and not the directory's own", () => {
  expect(mountsBelow(MOUNTS, "/home/ada")).toEqual(["/home/ada/my work", "/home/ada/my work/deep"]);
  expect(mountsBelow(MOUNTS, "/home/ada/my work")).toEqual(["/home/ada/my work/deep"]);
  expect(mountsBelow(MOUNTS, "/srv")).toEqual([]);
});
