import { once } from "node:events";
import { chmod, chown, mkdir, readdir, rm } from "node:fs/promises";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { plantValue, productCommand, runProcess, startWorld } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const STRANGER = 65_534;

/** Answers at a socket as a daemon might, and keeps what it is told. */
async function listenAt(path: string): Promise<{ readonly server: Server; readonly heard: Buffer[] }> {
  const heard: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on("data", (part: Buffer) => {
      heard.push(part);
      socket.end("HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}");
    });
    socket.on("error", () => socket.destroy());
  });
  await once(server.listen(path), "listening");
  await chmod(path, 0o666);
  return { server, heard };
}

test("a value is told to nobody who listens in a directory that others may enter, or that is another user's", async () => {
  await using world = await startWorld({ isStarted: false });
  const value = plantValue();
  const { stateDir } = world.paths;
  await mkdir(stateDir);
  const { server, heard } = await listenAt(join(stateDir, "daemon.sock"));
  const calls = [
    ["credentials", "add", "api", "--host", "api.example.test", "--header", "Authorization", "--format", "{value}"],
    ["grant", "github"],
    ["ls"],
  ];
  const places = [() => chmod(stateDir, 0o777), () => chmod(stateDir, 0o755)];
  if (process.getuid?.() === 0)
    places.push(() => chmod(stateDir, 0o700).then(() => chown(stateDir, STRANGER, STRANGER)));
  for (const makeUnsafe of places) {
    await makeUnsafe();
    for (const args of calls) {
      const { code, stderr } = await world.cli(args, { stdin: value });
      expect(code, args.join(" ")).toBe(2);
      expect(stderr).toContain(stateDir);
      expect(stderr).not.toContain(value);
    }
  }
  expect(heard).toEqual([]);
  server.close();
  await rm(stateDir, { recursive: true });
});

test("where there is no state directory a value is not even asked for: who makes one meanwhile is told nothing", async () => {
  await using world = await startWorld({ isStarted: false });
  const asking = world.startCli(["grant", "github"]);
  expect((await asking.finished).code).toBe(6);
  expect(asking.stderr).toContain("gatehouse up");
});

test("what a run leaves in a cache that a variable names is code of no command", async () => {
  await using world = await startWorld({ isStarted: false });
  const [program, script] = productCommand();
  const caches = join(world.paths.workspace, ".cache");
  for (const env of [{ XDG_CACHE_HOME: caches }, { HOME: world.paths.workspace }]) {
    const how = { env: { ...world.environment, ...env }, cwd: world.paths.workspace };
    expect((await runProcess(program, [script, "version"], how)).code).toBe(0);
  }
  expect(await readdir(world.paths.workspace)).toEqual([]);
});
