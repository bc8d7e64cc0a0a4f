import { execFile } from "node:child_process";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../kit/test/temporary-directory.ts";
import { checkState } from "../src/doctor/check-state.ts";

test("doctor names the directory above the state directory that any user may change, and its fix mends it", async () => {
  await using place = await temporaryDirectory();
  const above = join(place.path, "above");
  const state = join(above, "below/state");
  await mkdir(state, { recursive: true, mode: 0o700 });
  await chmod(above, 0o777);
  const [directory, ...more] = await checkState(state);
  expect(directory).toMatchObject({ name: "state-directory", ok: false, fix: `chmod o-w ${above}` });
  expect(more).toEqual([]);
  await promisify(execFile)("sh", ["-c", directory?.fix ?? "false"]);
  expect((await checkState(state)).map(({ ok }) => ok)).not.toContain(false);
});
