import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type DockerEngine, startDocker } from "@gatehouse/testbed";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dockerEngine } from "../../src/engines/docker-engine.ts";

const never = new AbortController().signal;

describe("a real Docker Engine", () => {
  let host: DockerEngine;
  beforeAll(async () => {
    host = await startDocker();
  }, 40_000);
  afterAll(() => host[Symbol.asyncDispose]());

  test("is listed with states and addresses, tells of changes, and fails when it is gone", async () => {
    const engine = dockerEngine(host.socketPath);
    expect(await engine.isThere()).toBe(true);
    expect(await engine.listContainers(never)).toEqual([]);

    const stop = new AbortController();
    const events = engine.events(stop.signal)[Symbol.asyncIterator]();
    const heard = events.next();
    const id = await host.docker("run", "--detach", "--name", "living", "tiny", "/bin/sleep", "600");
    expect((await heard).done).toBe(false);
    const [living] = await engine.listContainers(never);
    expect(living).toMatchObject({ id, names: ["living"], state: "live" });
    expect(living?.addresses).toEqual([
      await host.docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", "living"),
    ]);
    expect(living?.addresses[0]).toMatch(/^\d+\.\d+\.\d+\.\d+$/);

    await host.docker("pause", "living");
    expect(await engine.listContainers(never)).toMatchObject([{ state: "live" }]);
    await host.docker("unpause", "living");
    await host.docker("create", "--name", "made", "--network", "none", "tiny", "/bin/sleep", "600");
    await host.docker("kill", "living");
    const listed = await engine.listContainers(never);
    expect(Object.fromEntries(listed.map(({ names, state }) => [names[0], state]))).toEqual({
      living: "ended",
      made: "live",
    });
    expect(listed.find(({ names }) => names.includes("made"))?.addresses).toEqual([]);
    await host.docker("rm", "living", "made");
    expect(await engine.listContainers(never)).toEqual([]);
    stop.abort();
    await expect(drained(events)).rejects.toThrow();

    await host.kill();
    await expect(engine.listContainers(never)).rejects.toMatchObject({ code: "daemon.unreachable" });
  }, 60_000);
});

test("answers that are no list fail, and entries that cannot be read count as failing", async () => {
  const answers: readonly (readonly [number, unknown])[] = [
    [500, { message: "no" }],
    [200, { message: "no list" }],
    [200, [{ Id: "a", State: 7 }, { Id: "b", State: "dead" }, { Id: "c", State: "Running", Names: null }, "text"]],
  ];
  let turn = 0;
  await using server = await serve((_request, response) => {
    const [status, body] = answers[turn] ?? [500, {}];
    turn += 1;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  const engine = dockerEngine(server.path);
  await expect(engine.listContainers(never)).rejects.toMatchObject({ code: "daemon.unreachable" });
  await expect(engine.listContainers(never)).rejects.toMatchObject({ code: "daemon.unreachable" });
  expect(await engine.listContainers(never)).toEqual([
    { id: "a", names: [], state: "failing", addresses: [] },
    { id: "b", names: [], state: "failing", addresses: [] },
    { id: "c", names: [], state: "live", addresses: [] },
  ]);
  expect(await dockerEngine(`${server.path}.not`).isThere()).toBe(false);
});

async function drained(events: AsyncIterator<unknown>): Promise<void> {
  for (let step = await events.next(); step.done !== true; step = await events.next());
}

async function serve(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const directory = await mkdtemp(join(tmpdir(), "gh-engine-"));
  const path = join(directory, "engine.sock");
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}
