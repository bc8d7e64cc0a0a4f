import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { DescriptorWatch } from "../../src/worker/descriptor-watch.ts";

test("that no descriptor is free is told at once, and while that lasts once a minute", () => {
  const told: number[] = [];
  let nowMs = 0;
  const isDescriptorFree = () => nowMs < 4_000 || (nowMs > 130_000 && nowMs < 200_000);
  const watch = new DescriptorWatch({ isDescriptorFree, onNoneFree: () => told.push(nowMs) });
  for (; nowMs <= 240_000; nowMs += 2_000) watch.sweep(nowMs);
  expect(told).toEqual([4_000, 64_000, 124_000, 200_000]);
});

const SCRIPT = `
  import { openSync, closeSync } from "node:fs";
  import { isDescriptorFree } from ${JSON.stringify(new URL("../../src/worker/descriptor-watch.ts", import.meta.url).href)};
  const seen = [isDescriptorFree()];
  const taken = [];
  try {
    for (;;) taken.push(openSync("/dev/null"));
  } catch {}
  seen.push(isDescriptorFree());
  closeSync(taken[0]);
  seen.push(isDescriptorFree(), isDescriptorFree());
  console.log(JSON.stringify(seen));
`;

test("whether a descriptor is free is what the system says, and asking takes none", async () => {
  const start = 'ulimit -n 128 && exec "$0" --input-type=module --eval "$1"';
  const { stdout } = await promisify(execFile)("sh", ["-c", start, process.execPath, SCRIPT]);
  expect(JSON.parse(stdout)).toEqual([true, false, true, true]);
});
