import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, test } from "vitest";

const SCRIPT = `
  import { checkHost } from ${JSON.stringify(new URL("../src/doctor/check-host.ts", import.meta.url).href)};
  console.log(JSON.stringify((await checkHost()).find(({ name }) => name === "open-files")));
`;

async function checkUnder(limit: number): Promise<unknown> {
  const start = `ulimit -n ${limit} && exec "$0" --input-type=module --eval "$1"`;
  const { stdout } = await promisify(execFile)("sh", ["-c", start, process.execPath, SCRIPT]);
  return JSON.parse(stdout);
}

test("doctor says when fewer files may be open than the gate has connections, and how to raise the limit", async () => {
  expect(await checkUnder(1_024)).toMatchObject({
    ok: false,
    isNeeded: false,
    detail: expect.stringContaining("1024 in each process"),
    fix: expect.stringContaining("ulimit -n 33280"),
  });
});
