import { chmodSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadConfig } from "@gatehouse/kit";
import { afterAll, beforeAll, expect, test } from "vitest";
import { storeLocation } from "../src/server/store-location.ts";

const URL = "postgres://gatehouse:of-the-database@127.0.0.1/gatehouse";

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "gatehouse-store-"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Where a file of this mode says that the rows are. */
function locationOf(mode: number, content = URL) {
  const file = join(directory, "database-url");
  writeFileSync(file, content);
  chmodSync(file, mode);
  return readFrom(file);
}

function readFrom(databaseUrlFile: string) {
  const config = loadConfig({ env: {} });
  return storeLocation({ args: [], options: { databaseUrlFile }, config, socketPath: "" }, directory);
}

test("a database URL is read from a file of one's own, also behind a link, as platforms place it", async () => {
  expect(await locationOf(0o600, `${URL}\n`)).toEqual({ kind: "postgres", url: URL });
  const link = join(directory, "link");
  symlinkSync(join(directory, "database-url"), link);
  expect(await readFrom(link)).toEqual({ kind: "postgres", url: URL });
});

test.each([0o644, 0o604, 0o660, 0o602])("one of mode %o is refused, and not repeated", async (mode) => {
  const refusal = locationOf(mode);
  await expect(refusal).rejects.toMatchObject({ code: "state.unsafe_file" });
  await expect(refusal).rejects.not.toThrow("of-the-database");
});

test("a file that is longer than any URL is not read to its end, and not repeated", async () => {
  const refusal = locationOf(0o600, `${URL}${"\n".repeat(8_192)}`);
  await expect(refusal).rejects.toMatchObject({ code: "usage.invalid" });
  await expect(refusal).rejects.not.toThrow("of-the-database");
});

test("what is no file, or holds no such URL, is refused, and not repeated", async () => {
  await expect(readFrom(join(directory, "absent"))).rejects.toMatchObject({ code: "usage.invalid" });
  const refusal = locationOf(0o600, "hunter2");
  await expect(refusal).rejects.toMatchObject({ code: "usage.invalid" });
  await expect(refusal).rejects.not.toThrow("hunter2");
});
