import { mkdir, readFile, writeFile } from "node:fs/promises";
import { eventually, findInFiles, plantValue, startFleet } from "@gatehouse/testbed";
import { expect, test } from "vitest";

const LEVELS = ["debug", "info", "warn", "error"] as const;

test.each(LEVELS)(
  "secrets of server and node stand where they belong and nowhere else, and in no log at level %s",
  async (level) => {
    const value = plantValue();
    await using fleet = await startFleet();
    await mkdir(fleet.path("config", "gatehouse"), { recursive: true });
    await writeFile(fleet.path("config", "gatehouse", "config.yaml"), JSON.stringify({ log: { level } }));
    await fleet.stopServer();
    await fleet.startServer();
    const setupCode = (await readFile(fleet.path("s", "setup-code"), "utf8")).trim();
    await fleet.initOrg();
    await fleet.enrollHost("n1");
    const code = (await readFile(fleet.path("n1.code"), "utf8")).trim();
    const daemon = fleet.start(["node", "run", "--state-dir", fleet.path("n1"), "--json"]);
    await daemon.line("the node's ready line", (line) => line.includes('"ready":true'));
    await eventually("the node is connected", async () =>
      (await fleet.operator(["nodes", "ls"])).some(({ connected }: { connected: boolean }) => connected),
    );
    const replaced = await readFile(fleet.path("n1", "api.key"), "utf8");
    await fleet.json(["node", "rotate", "--state-dir", fleet.path("n1")]);
    await writeFile(fleet.path("value"), value, { mode: 0o600 });
    const sealed = ["--nodes", "n1", "--host", "api.example.test:443", "--value-file", fleet.path("value")];
    await fleet.operator(["credentials", "add", "svc", ...sealed]);
    const run = ["run", "--node", "n1", "--grant", "svc", "--state-dir", fleet.path("o"), "--", "sh", "-c", "exit 7"];
    expect((await fleet.run(run)).code).toBe(7);
    await fleet.operator(["revoke", "svc"]);

    const logs = `${fleet.serverLog}${daemon.stdout}${daemon.stderr}`;
    if (level === "debug") expect(logs).toContain('"debug"');
    const nodeKey = (await readFile(fleet.path("n1", "api.key"), "utf8")).trim();
    const ownerKey = (await readFile(fleet.path("o", "operator", "api.key"), "utf8")).trim();
    expect(nodeKey).not.toBe(replaced.trim());
    const places: readonly (readonly [secret: string, places: readonly string[]])[] = [
      [value, [fleet.path("value")]],
      [code, [fleet.path("n1.code")]],
      [setupCode, [fleet.path("s", "setup-code")]],
      [nodeKey, [fleet.path("n1", "api.key")]],
      [replaced.trim(), []],
      [ownerKey, [fleet.path("o", "operator", "api.key")]],
    ];
    for (const [secret, expected] of places) {
      expect(logs).not.toContain(secret);
      expect(await findInFiles(fleet.directory, secret)).toEqual(expected);
    }
  },
);
