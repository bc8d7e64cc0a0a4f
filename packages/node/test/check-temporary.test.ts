import { execFile } from "node:child_process";
import { chmod, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { temporaryDirectory } from "../../kit/test/temporary-directory.ts";
import { checkTemporary } from "../src/doctor/check-temporary.ts";

test.each(["above/tmp", "above"])("doctor names a directory that any user may change at or above %s", async (path) => {
  await using place = await temporaryDirectory();
  const above = join(place.path, "above");
  const temporary = join(place.path, path);
  await mkdir(join(above, "tmp"), { recursive: true });
  expect(await checkTemporary(temporary)).toMatchObject([{ name: "temporary-files", ok: true }]);
  await chmod(above, 0o777);
  const [row] = await checkTemporary(temporary);
  expect(row).toMatchObject({ ok: false, isNeeded: true, concerns: "setup", detail: expect.stringContaining(above) });
  const [, mend] = row?.fix?.split(", or: ") ?? [];
  await promisify(execFile)("sh", ["-c", mend ?? "false"]);
  expect(await checkTemporary(temporary)).toMatchObject([{ ok: true }]);
});

test("doctor says of a directory for temporary files that is not there how to name another", async () => {
  await using place = await temporaryDirectory();
  const absent = join(place.path, "absent");
  expect(await checkTemporary(absent)).toMatchObject([
    { ok: false, detail: expect.stringContaining(absent), fix: "Set TMPDIR to a directory of your own." },
  ]);
});
