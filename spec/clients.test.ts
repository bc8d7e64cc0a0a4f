import { randomInt } from "node:crypto";
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { plantValue, startWorld, type World } from "@gatehouse/testbed";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Client, ServicePlace } from "./clients/client.ts";
import { exerciseClient } from "./clients/exercise.ts";
import { AWS_CLI, exerciseAws } from "./clients/exercise-aws.ts";
import { REAL_NAMES } from "./clients/real-services.ts";
import { checkReference, type TestedClient } from "./clients/reference-table.ts";
import { COMMAND_LINE } from "./clients/rows/command-line.ts";
import { COMPILED } from "./clients/rows/compiled.ts";
import { NODE } from "./clients/rows/node.ts";
import { PACKAGES } from "./clients/rows/packages.ts";
import { PYTHON_LIBRARIES } from "./clients/rows/python.ts";
import { findInSandboxes } from "./granted-api.ts";

// Addresses of this test's own, so that each name has its real port and nobody else is on it.
const block = `127.${randomInt(1, 255)}.${randomInt(1, 255)}`;
const hosts = Object.fromEntries(REAL_NAMES.map((name, index) => [name, `${block}.${index + 1}`]));

let world: World;
let place: ServicePlace;
const tested: TestedClient[] = [];
let isPartial = false;

beforeAll(async () => {
  world = await startWorld({ hosts });
  place = { world, addressOf: (name) => hosts[name] ?? "127.0.0.1" };
});
afterAll(() => world[Symbol.asyncDispose]());

const CLIENTS: readonly Client[] = [...COMMAND_LINE, ...PACKAGES, ...PYTHON_LIBRARIES, ...NODE, ...COMPILED];
const SAYS = "uses a credential that it cannot see, and says what is wrong when it is refused or let in without one";
// Installing and building what is not there yet takes its time, once.
const TIMEOUT_MS = 300_000;

test("the search of a sandbox finds what stands in its variables, its memory, its own files and its workspace", async () => {
  const value = plantValue();
  // The shell keeps its variables in memory beside those that it was started with.
  const script = `cp /dev/null "$HOME/empty"; mkdir "$HOME/deep" deeper; echo "$VALUE" > "$HOME/deep/file"
    echo "$VALUE" | base64 > deeper/file; echo ready; read -r _`;
  const running = world.startRun(["sh", "-c", script], { env: { VALUE: value } });
  await running.line("the planting", (line) => line === "ready");
  const found = (await findInSandboxes(world, value)).join("\n");
  running.endInput();
  await running.finished;
  await rm(join(world.paths.workspace, "deeper"), { recursive: true });
  expect(found).toMatch(/^variables of \d+$/m);
  expect(found).toMatch(/^memory of \d+$/m);
  expect(found).toMatch(/root\/home\/agent\/deep\/file$/m);
  expect(found).toMatch(/workspace\/deeper\/file$/m);
});

for (const client of CLIENTS) {
  test(
    `${client.name} ${SAYS}`,
    async ({ skip }) => {
      skipWithout(client.needs, skip);
      await using service = await client.service(place).catch((failure) => skipWithoutPort(failure, skip));
      const version = await exerciseClient(world, client, { use: await client.use(service), service });
      expect(version).not.toBe("");
      tested.push({ row: client, version });
    },
    TIMEOUT_MS,
  );
}

test("aws-cli reaches an allowed bucket with its placeholder's signature intact, which strict policies remove", async ({
  skip,
}) => {
  skipWithout(["/usr/bin/aws"], skip);
  const version = await exerciseAws(place).catch((failure) => skipWithoutPort(failure, skip));
  expect(version).not.toBe("");
  tested.push({ row: AWS_CLI, version });
});

test("the table of clients says what ran", async ({ skip }) => {
  if (isPartial) skip("not every client could run here");
  await checkReference(tested);
});

type Skip = (note?: string) => never;

function skipWithout(paths: readonly string[], skip: Skip): void {
  const missing = paths.find((path) => !existsSync(path));
  if (missing === undefined) return;
  isPartial = true;
  skip(`${missing} is not there`);
}

/** Real names come with their real port. */
function skipWithoutPort(failure: NodeJS.ErrnoException, skip: Skip): never {
  if (failure.code !== "EACCES") throw failure;
  isPartial = true;
  return skip("this user may not listen on port 443");
}
